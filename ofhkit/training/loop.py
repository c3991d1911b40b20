"""How a stage is carried out: :func:`train_stage` builds it, :class:`Runner` resumes it, :class:`TrainLoop` runs it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook, ParamSchedulerHook
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop
from mmengine.runner import Runner as MMRunner
from torch import nn
from torch.utils.data import DataLoader

from ofhkit.config.settings import Data, Runtime
from ofhkit.data.sampler import Prefetcher, first, keep_on_device, training_loader
from ofhkit.errors import OfhkitError
from ofhkit.models.fitted import Fitted
from ofhkit.ops import set_implementation
from ofhkit.registry import DEGRADATIONS, HOOKS, METRICS
from ofhkit.runtime.devices import amp_dtype, reseed, set_tf32
from ofhkit.runtime.distributed import average, is_main, on_main, rank, world_size
from ofhkit.runtime.progress import log, log_file
from ofhkit.training.checkpoint import load_checkpoint, newest_checkpoint, save_checkpoint
from ofhkit.training.hooks import BEST, AverageWeights, FreezeBN, SaveCheckpoint, StopOnNaN, Validate
from ofhkit.training.monitor import Progress, pick_visualizer
from ofhkit.training.optim import build_schedulers
from ofhkit.training.stage import Context, Stage
from ofhkit.training.sync_layers import GlobalDropout, SynchronisedBatchNorm2d, convert_sync_layers
from ofhkit.zoo.weights import check_fit, component_weights, load_strictly, load_weights

# Compiled, the first two draw other numbers and lose the others' gradients, and the third takes an inexact form.
_EAGER = (GlobalDropout, SynchronisedBatchNorm2d, Fitted)
_MMENGINE_DEFAULT_HOOKS = ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint")
_STATE = ("meta", "state_dict", "optimizer", "param_schedulers")  # of a checkpoint


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
    """Build the networks with the weights they start from, on the device."""
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


def compile_networks(networks: Iterable[nn.Module]) -> None:
    """Compile networks in place (names in checkpoints stay), at their first call; layers of ``_EAGER`` stay eager.

    The training step as a whole is not compiled: the graph would break at every optimizer.
    """
    for network in networks:
        for layer in network.modules():
            if isinstance(layer, _EAGER):
                layer.forward = torch.compiler.disable(layer.forward)
        network.compile()


def _loader(stage: Stage, context: Context) -> DataLoader:
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
        metrics = [METRICS.build(metric) for metric in stage.metrics]
        if stage.save == "best" and all(metric.higher_is_better is None for metric in metrics):
            raise OfhkitError(f"stages.{stage.name}.save='best' needs a metric that says which way is better")
        interval = validation_interval(stage.iterations, stage.batch_size, runtime)
        hooks.append(Validate(first(context.val, runtime.val_images), degrade, metrics, interval, stage.network))
    return hooks + [HOOKS.build(hook) for hook in stage.hooks.values()]


def validation_interval(iterations: int, batch_size: int, runtime: Runtime) -> int:
    """Iterations between two validations: a stage learns from at least as many faces as it is then scored on.

    >>> validation_interval(8, 8, Runtime(validations=8)), validation_interval(800, 8, Runtime(validations=8))
    (13, 100)
    """
    return max(1, iterations // runtime.validations, -(-runtime.val_images // batch_size))


class Runner(MMRunner):
    """MMEngine's runner for one stage, with checkpoints that resume exactly; hooks find the same attributes there.

    Args:
        stage: what is trained; hooks find it as ``runner.model``.
        loop, visualizer: configurations.
        schedulers: as of :func:`ofhkit.training.optim.build_schedulers`.
        seed: of dropout.
    """

    def __init__(
        self,
        stage: Stage,
        folder: Path,
        loader: DataLoader,
        loop: Mapping[str, Any],
        optim_wrapper: OptimWrapper,
        schedulers: Any,
        hooks: Sequence[Hook],
        device: torch.device,
        seed: int = 0,
        visualizer: Mapping[str, Any] | None = None,
    ):
        self.name, self.device = stage.name, device
        super().__init__(
            model=stage,
            work_dir=str(folder),
            train_dataloader=loader,
            train_cfg=dict(loop),
            optim_wrapper=optim_wrapper,
            param_scheduler=schedulers,
            default_hooks=dict.fromkeys(_MMENGINE_DEFAULT_HOOKS),
            custom_hooks=[ParamSchedulerHook(), *hooks],
            resume=True,
            log_level="WARNING",
            default_scope=None,
            randomness=dict(seed=seed),
            experiment_name=f"{stage.name}-{uuid.uuid4().hex[:8]}",
            visualizer=visualizer,
        )

    def train(self) -> nn.Module:
        """Run the loop from the newest checkpoint to the end; the first process logs to ``train.log``."""
        lines = log_file(Path(self.work_dir) / "train.log") if is_main() else logging.NullHandler()
        log.addHandler(lines)
        try:
            self._train_loop = self.build_train_loop(self._train_loop)
            self.call_hook("before_run")
            self.load_or_resume()
            self.optim_wrapper.initialize_count_status(self.model, self.iter, self.max_iters)
            self.train_loop.run()
            self.call_hook("after_run")
        finally:
            log.removeHandler(lines)
            lines.close()
        return self.model

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        return model.to(self.device)

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any) -> MMLogger:
        if is_main():
            return super().build_logger(log_level, log_file, **kwargs)
        return MMLogger.get_instance(self.experiment_name, log_level=log_level)

    def _log_env(self, env_cfg: dict) -> None:
        """Nothing: the curriculum logs once what it runs on."""

    def save_checkpoint(self, out_dir: str | None = None, **_: Any) -> Path:  # type: ignore[override]
        """Write everything that an exact resume needs, atomically; called, as MMEngine's, after an iteration."""
        iteration = self.iter + 1
        schedulers = {name: [s.state_dict() for s in group] for name, group in self._schedulers().items()}
        spent = self.model.core_seconds() if hasattr(self.model, "core_seconds") else 0.0  # of a stage; any model runs
        meta = {"iter": iteration, "epoch": self.epoch, "core_seconds": spent}
        state = dict(zip(_STATE, (meta, self.model.state_dict(), self.optim_wrapper.state_dict(), schedulers)))
        self.call_hook("before_save_checkpoint", checkpoint=state)
        return save_checkpoint(Path(out_dir or self.work_dir), iteration, state)

    def _schedulers(self) -> dict[str, list]:
        """Schedulers by the optimizer they belong to; of a single one under an empty name."""
        schedulers = self.param_schedulers or {}
        return schedulers if isinstance(schedulers, dict) else {"": schedulers}

    def _check(self, state: Any, source: str) -> None:
        """Refuse what is no checkpoint of this training, before anything is loaded from it.

        Raises:
            OfhkitError: it holds something else, or weights, optimizers or schedules of something else.
        """
        parts = [state.get(key) for key in _STATE] if isinstance(state, dict) else [None]
        if not all(isinstance(part, dict) for part in parts) or not isinstance(parts[0].get("iter"), int):
            raise OfhkitError(f"{source} is no checkpoint of a training")
        check_fit(self.model, state["state_dict"], source)
        lengths = {name: len(group) for name, group in self._schedulers().items()}
        alike = _outline(state["optimizer"]) == _outline(self.optim_wrapper.state_dict())
        alike &= {name: len(group) for name, group in state["param_schedulers"].items()} == lengths
        if not alike or not 0 <= state["meta"]["iter"] <= self.max_iters:
            raise OfhkitError(f"{source} is a checkpoint of another training")

    def load_or_resume(self) -> None:
        """Go on from the newest readable checkpoint of the folder, if there is one."""
        newest = on_main(lambda: newest_checkpoint(Path(self.work_dir), self._check))
        if newest is None:
            return
        state = load_checkpoint(newest)
        self.call_hook("after_load_checkpoint", checkpoint=state)  # a hook may exchange weights in it
        load_strictly(self.model, state["state_dict"], f"the checkpoint in {self.work_dir}")
        self.optim_wrapper.load_state_dict(state["optimizer"])
        for name, group in self._schedulers().items():
            for scheduler, saved in zip(group, state["param_schedulers"][name], strict=True):
                scheduler.load_state_dict(saved)
        self.train_loop.iter = state["meta"]["iter"]
        self.model.earlier = state["meta"].get("core_seconds", 0.0)
        log.info("[%s] goes on at iteration %d", self.name, self.iter)


def _outline(state: Any) -> Any:
    """The keys of an optimizer's state down to its groups, and how many parameters each holds."""
    if isinstance(state, Mapping) and "optimizer" in state:  # of mixed precision
        return _outline(state["optimizer"])
    if isinstance(state, Mapping) and "param_groups" in state:
        return [len(group["params"]) for group in state["param_groups"]]
    return {key: _outline(value) for key, value in state.items()} if isinstance(state, Mapping) else None
