"""How a stage is carried out: its data, its hooks, and the loop over the batches."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop
from torch import nn
from torch.utils.data import DataLoader

from ofhkit.config.settings import Data, Runtime
from ofhkit.data.prefetch import Prefetcher, keep_on_device
from ofhkit.data.sampler import first, training_loader
from ofhkit.errors import OfhkitError
from ofhkit.models.fitted import Fitted
from ofhkit.ops import set_implementation
from ofhkit.registry import DEGRADATIONS, HOOKS, METRICS
from ofhkit.runtime.devices import amp_dtype, reseed, set_tf32
from ofhkit.runtime.distributed import average, is_main, rank, world_size
from ofhkit.runtime.progress import log
from ofhkit.training.hooks import BEST, AverageWeights, FreezeBN, KeepBest, SaveCheckpoint, StopOnNaN
from ofhkit.training.monitor import Progress, SampleGrid, Validate, pick_visualizer
from ofhkit.training.optim import build_schedulers
from ofhkit.training.runner import Runner
from ofhkit.training.stage import Context, Stage
from ofhkit.training.sync_layers import GlobalDropout, SynchronisedBatchNorm2d, convert_sync_layers
from ofhkit.zoo.weights import component_weights, load_strictly, load_weights

# Compiled, the first two draw other numbers and lose the others' gradients, and the third takes an inexact form.
_EAGER = (GlobalDropout, SynchronisedBatchNorm2d, Fitted)


class TrainLoop(BaseLoop):
    """Iterate from wherever the run stands to ``max_iters``, or until a hook sets ``stop_training``."""

    def __init__(self, runner: Runner, dataloader: DataLoader, max_iters: int, degrade: nn.Module, prefetch: bool):
        super().__init__(runner, dataloader)
        self.max_iters, self.degrade = max_iters, degrade
        self.batches = Prefetcher(dataloader, runner.device, prefetch and dataloader.pin_memory)
        self.iter = self.epoch = 0
        self.stop_training = False
        self.max_epochs, self.val_interval, self.val_begin = 1, 0, 0

    def run(self) -> nn.Module:
        runner, stage = self.runner, self.runner.model
        stage.train()
        runner.call_hook("before_train")
        runner.call_hook("before_train_epoch")
        for batch in self.batches.starting_at(self.iter):
            reseed(runner.seed * 1_000_003 + self.iter, runner.device)  # dropout: a function of (seed, iteration)
            runner.call_hook("before_train_iter", batch_idx=self.iter, data_batch=batch)
            losses = average(stage.step(self.degrade(batch, training=True), runner.optim_wrapper))
            runner.call_hook("after_train_iter", batch_idx=self.iter, data_batch=batch, outputs=losses)
            self.iter += 1
            if self.stop_training:
                break
        runner.call_hook("after_train_epoch")
        runner.call_hook("after_train")
        return stage


def train_stage(stage: Stage, context: Context, folder: Path, load_from: str | None = None) -> nn.Module:
    """Train a stage's network and return it; goes on from the folder's newest checkpoint.

    Args:
        folder: checkpoints, log and samples go there.
        load_from: weights to start from.

    Raises:
        OfhkitError: the best weights are wanted and nothing says which they are, or a loss became NaN.
    """
    runtime = Runtime(**context.config["runtime"])
    if stage.save == "best" and context.val is None:
        raise OfhkitError(f"stages.{stage.name}.save='best' needs validation faces, and this data set has none")
    degrade = DEGRADATIONS.build(context.degradation, seed=context.seed).to(context.device)
    _build(stage, context, runtime, load_from)
    amp = None
    if context.amp:
        amp, line = amp_dtype(context.device)
        log.info(line)
    optim = stage.optimizers(context.device, amp, runtime.optimizer)
    stage.prepare(context, degrade, folder)
    runner = Runner(
        stage,
        folder,
        _loader(stage, context),
        dict(type=TrainLoop, max_iters=stage.iterations, degrade=degrade, prefetch=runtime.prefetch),
        optim,
        build_schedulers(stage.schedule, optim),
        _hooks(stage, context, degrade, runtime),
        context.device,
        seed=context.seed,
        visualizer=pick_visualizer(runtime.visualizer),
    )
    runner.train()
    if stage.save == "best" and is_main():  # the first process wrote it, perhaps this moment, and delivers it
        load_strictly(stage.network, load_weights(folder / BEST)[0], BEST)
    return stage.network


def _build(stage: Stage, context: Context, runtime: Runtime, load_from: str | None) -> None:
    """Build what is trained, with the weights it starts from, as the settings want it."""
    torch.manual_seed(context.seed)  # the initial weights
    stage.build(context)
    set_implementation(stage, runtime.implementation)
    if load_from is not None:
        count = load_strictly(stage.network, component_weights(load_from, stage.trains), load_from)
        log.info("[%s] starts from %s: %s", stage.name, load_from, count)
    layout = torch.channels_last if runtime.channels_last else torch.contiguous_format
    convert_sync_layers(stage).to(context.device, memory_format=layout)
    set_tf32(runtime.tf32)
    if runtime.compile:
        compile_networks(stage.networks())


def _loader(stage: Stage, context: Context) -> DataLoader:
    """Batches of this process's share; pinned where they are to be copied to a GPU."""
    data = Data(**context.config["data"])
    train = keep_on_device(context.train, context.device) if data.on_device else context.train
    resident = train is not context.train
    return training_loader(
        train,
        context.seed,
        stage.batch_size,
        stage.iterations,
        num_workers=0 if resident else data.num_workers,
        rank=rank(),
        world_size=world_size(),
        pin_memory=context.device.type == "cuda" and not resident,
    )


def _hooks(stage: Stage, context: Context, degrade: nn.Module, runtime: Runtime) -> list[Hook]:
    hooks = [StopOnNaN(), Progress(runtime.log_interval), SaveCheckpoint(runtime.checkpoint_interval)]
    if stage.freeze_bn:
        hooks.append(FreezeBN(stage.network, round(stage.iterations * (1 - stage.freeze_bn))))
    if stage.average:
        hooks.append(AverageWeights(stage.network, stage.average))
    if context.val is not None:
        interval = validation_interval(stage.iterations, stage.batch_size, runtime)
        metrics = [METRICS.build(metric) for metric in stage.metrics]
        hooks.append(Validate(first(context.val, runtime.val_images), degrade, metrics, interval))
        judge = next((metric for metric in metrics if metric.higher_is_better is not None), None)
        if judge is not None:
            hooks.append(KeepBest(stage.network, judge.name, judge.higher_is_better))
        elif stage.save == "best":
            raise OfhkitError(f"stages.{stage.name}.save='best' needs a metric that says which way is better")
        hooks.append(SampleGrid(context.val, degrade))
    return hooks + [HOOKS.build(hook) for hook in stage.hooks.values()]


def validation_interval(iterations: int, batch_size: int, runtime: Runtime) -> int:
    """Iterations between two validations: a stage learns from at least as many faces as it is then scored on.

    >>> validation_interval(8, 8, Runtime(validations=8)), validation_interval(800, 8, Runtime(validations=8))
    (13, 100)
    """
    return max(1, iterations // runtime.validations, -(-runtime.val_images // batch_size))


def compile_networks(networks: Iterable[nn.Module]) -> None:
    """Compile networks in place (names in checkpoints stay); it happens at their first call.

    Not a training step as a whole: it would break at every optimizer. Dropout, batch normalisation over several
    processes, and what is fitted in one pass stay as they are.
    """
    for network in networks:
        for layer in network.modules():
            if isinstance(layer, _EAGER):
                layer.forward = torch.compiler.disable(layer.forward)
        network.compile()
