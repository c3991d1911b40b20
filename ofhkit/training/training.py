"""How a step is carried out: by optimisation on the common runner, or by one streaming pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ofhkit.config.settings import Data, Runtime
from ofhkit.data.prefetch import keep_on_device
from ofhkit.data.sampler import fetch, first, training_loader
from ofhkit.errors import OfhkitError
from ofhkit.ops import set_implementation
from ofhkit.registry import HOOKS, METRICS
from ofhkit.runtime.distributed import is_main, rank, span_processes, world_size
from ofhkit.runtime.progress import Progress as ProgressBar
from ofhkit.training.checkpoint import list_checkpoints, load_strictly, load_weights
from ofhkit.training.hooks import (
    AverageWeights,
    FreezeNorm,
    KeepBest,
    Progress,
    SampleGrid,
    SaveCheckpoint,
    StopOnNaN,
    Validate,
)
from ofhkit.training.hooks.best import BEST
from ofhkit.training.optim import amp_dtype, build_schedulers
from ofhkit.training.recipes import Context, OptimiseStep, Step
from ofhkit.training.runner import Runner
from ofhkit.training.scalars import pick_visualizer
from ofhkit.training.starting import starting_weights
from ofhkit.training.steps import FitStep
from ofhkit.training.switches import compile_networks, set_tf32
from ofhkit.training.true_landmarks import true_landmarks, worth_a_table

TRUE_LANDMARKS = "true_landmarks.safetensors"


@dataclass(frozen=True)
class Job:
    """One step to be carried out.

    Attributes:
        name: of the step.
        recipe: of :meth:`ofhkit.training.recipes.Step.recipe`, budget included.
        folder: checkpoints, log and samples go there.
        val: validation faces, or None.
        load_from: weights to start from, or None.
    """

    name: str
    step: Step
    recipe: Mapping[str, Any]
    context: Context
    folder: Path
    train: Dataset
    val: Dataset | None
    device: torch.device
    amp: bool
    say: Callable[[str], None]
    load_from: Path | None = None

    def run(self) -> nn.Module:
        """Carry it out and return the trained component."""
        return fit(self) if isinstance(self.step, FitStep) else optimise(self)


def optimise(job: Job) -> nn.Module:
    """Train on the common runner; goes on from the folder's newest checkpoint."""
    step, device, runtime = job.step, job.device, Runtime(**job.context.config["runtime"])
    assert isinstance(step, OptimiseStep)
    if step.deliver == "best" and job.val is None:
        raise OfhkitError(f"steps.{job.name}.deliver='best' needs validation faces, and this data set has none")
    model = _model(job, runtime)
    amp, line = amp_dtype(device) if job.amp else (None, "")
    if line:
        job.say(line)
    optim_wrapper = step.optim_wrapper(model, device, amp, runtime.optimizer)
    shown = job.recipe["iterations"] * step.batch_size
    if worth_a_table(model, len(job.train), shown):
        model.true_landmarks = true_landmarks(model, job.train, device, job.folder / TRUE_LANDMARKS)
    loader = _loader(job)
    runner = Runner(
        job.name,
        model,
        job.folder,
        loader,
        job.recipe["iterations"],
        optim_wrapper,
        build_schedulers(job.recipe["schedule"], optim_wrapper),
        _hooks(job, model, runtime),
        device,
        seed=job.context.seed,
        visualizer=pick_visualizer(runtime.visualizer, job.say),
        prefetch=runtime.prefetch and loader.pin_memory,
    )
    runner.train()
    if step.deliver == "best" and is_main():  # the first process wrote it, perhaps this moment, and delivers it
        load_strictly(step.trained(model), load_weights(job.folder / BEST)[0], BEST)
    return step.trained(model)


def _model(job: Job, runtime: Runtime) -> nn.Module:
    """Build what is trained, with the weights it starts from, as the switches want it."""
    torch.manual_seed(job.context.seed)  # the initial weights
    model = set_implementation(job.step.build(job.context), runtime.implementation)
    if job.load_from is not None:
        weights = starting_weights(job.load_from, job.step.component)
        count = load_strictly(job.step.trained(model), weights, str(job.load_from))
        job.say(f"[{job.name}] starts from {job.load_from}: {count}")
    layout = torch.channels_last if runtime.channels_last else torch.contiguous_format
    model = span_processes(model).to(job.device, memory_format=layout)
    set_tf32(runtime.tf32)
    return compile_networks(model) if runtime.compile else model


def _loader(job: Job) -> DataLoader:
    """Batches of this process's share; pinned where they are to be copied to a GPU."""
    data = Data(**job.context.config["data"])
    train = keep_on_device(job.train, job.device, job.say) if data.on_device else job.train
    resident = train is not job.train
    return training_loader(
        train,
        job.context.seed,
        job.step.batch_size,
        job.recipe["iterations"],
        num_workers=0 if resident else data.num_workers,
        rank=rank(),
        world_size=world_size(),
        pin_memory=job.device.type == "cuda" and not resident,
    )


def _hooks(job: Job, model: nn.Module, runtime: Runtime) -> list[Hook]:
    step, iterations = job.step, job.recipe["iterations"]
    network, interval = step.trained(model), max(1, iterations // runtime.validations)
    hooks = [StopOnNaN(), Progress(runtime.log_interval), SaveCheckpoint(runtime.checkpoint_interval)]
    if step.freeze_norm:
        hooks.append(FreezeNorm(network, round(iterations * (1 - step.freeze_norm))))
    average = AverageWeights(network, step.average) if step.average else None
    if average is not None:
        hooks.append(average)
    if job.val is not None:
        metrics = [METRICS.build(metric) for metric in step.metrics()]
        judge = next((metric for metric in metrics if metric.higher_is_better is not None), None)
        best = None if judge is None else KeepBest(network, judge.name, judge.higher_is_better)
        if best is None and step.deliver == "best":
            raise OfhkitError(f"steps.{job.name}.deliver='best' needs a metric that says which way is better")
        subset = first(job.val, runtime.val_images)
        hooks += [*filter(None, [best]), Validate(subset, metrics, interval, average=average, best=best)]
        hooks.append(SampleGrid(job.val, interval, average=average))
    return hooks + [HOOKS.build(hook) for hook in step.hooks.values()]


def fit(job: Job) -> nn.Module:
    """Show the component every clean training face once."""
    step = job.step
    assert isinstance(step, FitStep)
    component, degradation = (part.to(job.device) for part in step.build(job.context))
    bar = ProgressBar(len(job.train), f"[{job.name}] faces")
    for start in range(0, len(job.train), step.batch_size):
        indices = range(start, min(start + step.batch_size, len(job.train)))
        batch = degradation(fetch(job.train, indices), training=False)
        component.partial_fit(batch["lr_gt"], batch["hr"])
        bar.update(len(indices))
    component.finalise()
    return component


def clean_up(folder: Path) -> None:
    """Remove the checkpoints of a finished step, and what a killed process began to write; its weights are kept."""
    for left in (*list_checkpoints(folder), *folder.rglob(".*.tmp")):
        left.unlink()
    (folder / TRUE_LANDMARKS).unlink(missing_ok=True)
