"""How a step is carried out: by optimisation on the common runner, or by one streaming pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from ofhkit.engine.checkpoint import list_checkpoints
from ofhkit.engine.distributed import rank, span_processes, world_size
from ofhkit.engine.draws import fetch, first, training_loader
from ofhkit.engine.hooks import AverageWeights, FreezeNorm, Progress, SampleGrid, SaveCheckpoint, StopOnNaN, Validate
from ofhkit.engine.optim import amp_dtype, build_schedulers
from ofhkit.engine.runner import Runner
from ofhkit.engine.steps import Context, FitStep, OptimiseStep, Step
from ofhkit.functional.resample import downsample_cubic
from ofhkit.ops import set_implementation
from ofhkit.progress import Progress as ProgressBar
from ofhkit.registry import HOOKS, UPSAMPLERS
from ofhkit.settings import Data, Runtime


@dataclass(frozen=True)
class Job:
    """One step to be carried out.

    Attributes:
        name: of the step.
        recipe: of :meth:`ofhkit.engine.steps.Step.recipe`, budget included.
        folder: checkpoints, log and samples go there.
        val: validation faces, or None.
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

    def run(self) -> nn.Module:
        """Carry it out and return the trained component."""
        return fit(self) if isinstance(self.step, FitStep) else optimise(self)


def optimise(job: Job) -> nn.Module:
    """Train on the common runner; goes on from the folder's newest checkpoint."""
    step, device = job.step, job.device
    runtime, data = Runtime(**job.context.config["runtime"]), Data(**job.context.config["data"])
    assert isinstance(step, OptimiseStep)
    torch.manual_seed(job.context.seed)  # the initial weights
    layout = torch.channels_last if runtime.channels_last else torch.contiguous_format
    model = set_implementation(span_processes(step.build(job.context)), runtime.implementation)
    model = model.to(device, memory_format=layout)
    amp, line = amp_dtype(device) if job.amp else (None, "")
    if line:
        job.say(line)
    optim_wrapper = step.optim_wrapper(model, device, amp)
    iterations = job.recipe["iterations"]
    interval = max(1, iterations // runtime.validations)
    hooks = [StopOnNaN(), Progress(runtime.log_interval), SaveCheckpoint(runtime.checkpoint_interval)]
    if step.freeze_norm:
        hooks.append(FreezeNorm(step.trained(model), round(iterations * (1 - step.freeze_norm))))
    average = AverageWeights(step.trained(model), step.average) if step.average else None
    if average is not None:
        hooks.append(average)
    if job.val is not None:
        hooks.append(Validate(first(job.val, runtime.val_images), step.metrics(), interval, average=average))
        hooks.append(SampleGrid(job.val, interval, average=average))
    hooks += [HOOKS.build(hook) for hook in step.hooks.values()]
    loader = training_loader(
        job.train,
        job.context.seed,
        step.batch_size,
        iterations,
        num_workers=data.num_workers,
        rank=rank(),
        world_size=world_size(),
        pin_memory=device.type == "cuda",
    )
    runner = Runner(
        job.name,
        model,
        job.folder,
        loader,
        iterations,
        optim_wrapper,
        build_schedulers(job.recipe["schedule"], optim_wrapper),
        hooks,
        device,
        seed=job.context.seed,
        visualizer=runtime.visualizer,
    )
    runner.train()
    return step.trained(model)


def fit(job: Job) -> nn.Module:
    """Show the component every clean training face once."""
    step = job.step
    assert isinstance(step, FitStep)
    component = UPSAMPLERS.build(job.context.model[step.component]).to(job.device)
    bar = ProgressBar(len(job.train), f"[{job.name}] faces")
    for start in range(0, len(job.train), step.batch_size):
        indices = range(start, min(start + step.batch_size, len(job.train)))
        hr = fetch(job.train, indices)["hr"].to(job.device).float() / 255
        size = hr.shape[-1] // component.scale
        component.partial_fit(downsample_cubic(hr, size).clamp_(0, 1), hr)
        bar.update(len(indices))
    component.finalise()
    return component


def clean_up(folder: Path) -> None:
    """Remove the checkpoints of a finished step; its weights are kept."""
    for checkpoint in list_checkpoints(folder):
        checkpoint.unlink()
