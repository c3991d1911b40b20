"""The whole training of a method: the steps it needs, in order, each done once and found again.

Folders under the work dir: ``shared/<step>-<fingerprint>/`` for steps that methods share, ``<run>/<step>/`` for a
method's own, ``<run>/model.safetensors`` for the finished pipeline (:mod:`ofhkit.training.runs` names the run). A
folder with ``weights.safetensors`` is finished; its ``step.json`` says what was done.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ofhkit.config import to_json
from ofhkit.config.check import complete
from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.files import atomic_write, file_lock
from ofhkit.ops import set_malloc_policy
from ofhkit.registry import DATASETS, HALLUCINATORS, STEPS
from ofhkit.runtime.devices import pick_device
from ofhkit.runtime.distributed import is_main, main_first, once, world_size
from ofhkit.runtime.progress import clock
from ofhkit.runtime.version import __version__
from ofhkit.training.checkpoint import load_weights, save_weights
from ofhkit.training.recipes import Context, Step, fingerprint, load_component
from ofhkit.training.runs import CONFIG, MODEL, keep_finished
from ofhkit.training.starting import check_start, mark_start
from ofhkit.training.training import Job, clean_up

WEIGHTS = "weights.safetensors"
_COMPONENTS = ("inpainter", "upsampler")  # what inference needs


@dataclass(frozen=True)
class Options:
    """How a curriculum is run, as given on the command line; none of it but budget and seed changes the result.

    Args:
        work_dir: root of all runs.
        budget: factor on every step's iterations.
        steps: names of the steps to run; None = all that are needed.
        device: auto, cpu, cuda, mps.
        amp: mixed precision where the device is good at it.
        fresh: start anew; what is there is set aside, not deleted.
    """

    work_dir: Path = Path("work_dirs")
    budget: float = 1.0
    steps: tuple[str, ...] | None = None
    device: str = "auto"
    amp: bool = False
    fresh: bool = False


def run_curriculum(config: Any, name: str, options: Options, say: Callable[[str], None] = print) -> Path:
    """Run the steps that ``config`` needs and write the finished pipeline.

    Args:
        config: of :func:`ofhkit.config.load_config`; the data root is a pack.
        name: of the run's folder, as of :func:`ofhkit.training.runs.name_run`.

    Returns:
        Path of ``model.safetensors`` (it exists only when every step is finished, and never for a parser alone).

    Raises:
        OfhkitError: no such step, nothing to train on, a step broke.
    """
    check_run(config, options)
    device = pick_device(options.device)
    set_malloc_policy()
    train, val = main_first(partial(_datasets, config, say))
    config = copy.deepcopy(config)
    config.model = complete(config.model, "model")
    data = {"hash": train.metainfo["data_hash"], "num_train": len(train)}
    context = Context(config, data, config.runtime.seed, options.budget)
    plan = plan_steps(config)
    say(f"{name}: {len(train)} training faces of {train.metainfo['name']}, device {device}, budget {options.budget:g}")
    left_out: dict[str, str] = {}  # component -> step
    for key, step in plan.items():
        load_from = config.get("load_from") if key == list(plan)[-1] else None
        recipe = step.recipe(context) | (mark_start(load_from) if load_from else {})
        mark = fingerprint(recipe)
        folder = _folder(options.work_dir, name, key, step, mark)
        wanted = options.steps is None or key in options.steps
        with _alone(options.work_dir, folder, say):
            done = once(partial(_is_done, folder, mark, anew=options.fresh and wanted))
            if wanted and not done:
                for needed in (left_out[c] for c in step.builds_on if c in left_out):
                    raise OfhkitError(f"step {key!r} builds on {needed!r}, which is not done: add it to --steps")
                _train(Job(key, step, recipe, context, folder, train, val, device, options.amp, say, load_from), mark)
        if done:
            say(f"[{key}] already done: {folder}")
        elif not wanted:
            say(f"[{key}] left out (--steps); not done yet")
            left_out[step.component] = key
            continue
        context = replace(
            context,
            delivered={**context.delivered, step.component: folder / WEIGHTS},
            fingerprints={**context.fingerprints, step.component: mark},
        )
    path = Path(options.work_dir) / name / MODEL
    if not left_out and all(part in config.model for part in _COMPONENTS):
        once(partial(_write_pipeline, path, config, context, train.metainfo.get("template"), say))
    return path


def _datasets(config: Any, say: Callable[[str], None]) -> tuple[Any, Any]:
    """Training and validation faces; a data set without the latter is trained on without watching."""
    train = DATASETS.build(config.data.dataset, split="train")
    try:
        return train, DATASETS.build(config.data.dataset, split="val")
    except OfhkitError as error:
        say(f"no validation while training: {error}")
        return train, None


def plan_steps(config: Any) -> dict[str, Step]:
    """The steps that this model needs, in order."""
    steps = {key: STEPS.build(step) for key, step in config.steps.items() if step is not None}
    return {key: step for key, step in steps.items() if step.needed(config.model)}


def check_run(config: Any, options: Options) -> None:
    """Find what is wrong with a run before any data is read.

    Raises:
        OfhkitError: budget, device, a step's name or a component's settings.
    """
    if not 0 < options.budget < math.inf:
        raise OfhkitError(f"--budget must be a positive number, got {options.budget}")
    pick_device(options.device)
    for name in options.steps or ():
        if name not in config.steps:
            raise OfhkitError(f"--steps: no step {name!r}; {did_you_mean(name, config.steps)}")
    plan = plan_steps(config)
    check_start(config, plan)
    for name, step in plan.items():
        if not step.alone and step.batch_size % world_size():
            raise OfhkitError(
                f"steps.{name}.batch_size {step.batch_size} does not divide among {world_size()} processes: make it a "
                f"multiple with --cfg-options steps.{name}.batch_size=N, or start another number of processes"
            )


def _alone(work_dir: Path, folder: Path, say: Callable[[str], None]) -> AbstractContextManager:
    """Hold a step against other jobs; whoever waits finds it done. A job's first process holds it for all."""
    if not is_main():
        return nullcontext()
    lock = Path(work_dir) / ".locks" / f"{folder.parent.name}-{folder.name}"
    return file_lock(lock, waiting=lambda: say(f"another process is training {folder}; waiting for it"))


def _folder(work_dir: Path, name: str, key: str, step: Step, mark: str) -> Path:
    work_dir = Path(work_dir)
    return work_dir / "shared" / f"{key}-{mark}" if step.shared else work_dir / name / key


def _mark_of(folder: Path) -> str | None:
    try:
        return json.loads((folder / "step.json").read_text())["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_done(folder: Path, mark: str, anew: bool) -> bool:
    if anew:
        _set_aside(folder)
    return (folder / WEIGHTS).is_file() and _mark_of(folder) == mark


def _set_aside(folder: Path) -> Path:
    """Rename a folder out of the way; nothing is deleted."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.before-{number}")).exists():
        number += 1
    if folder.exists():
        folder.rename(aside)
    return aside


def _train(job: Job, mark: str) -> None:
    """Carry out a job and write what it delivers."""
    once(partial(_begin, job, mark))
    start = time.monotonic()
    network = job.run() if is_main() or not job.step.alone else None
    once(partial(_deliver, job, mark, network, time.monotonic() - start))


def _begin(job: Job, mark: str) -> None:
    """Make the folder, out of which an earlier run with other settings has moved, and say in it what is done here."""
    finished = (job.folder / WEIGHTS).is_file()  # and not known for this step: its step.json is another's or damaged
    if finished or (not job.step.shared and _mark_of(job.folder) not in (None, mark)):
        job.say(f"[{job.name}] settings or data changed: the earlier run is kept as {_set_aside(job.folder).name}")
    atomic_write(
        job.folder / "step.json", json.dumps({"fingerprint": mark, "recipe": job.recipe}, indent=2, default=str)
    )


def _deliver(job: Job, mark: str, network: nn.Module, seconds: float) -> None:
    component = job.step.component
    header = {"step": job.name, "component": dict(job.context.model[component]), "fingerprint": mark}
    save_weights(job.folder / WEIGHTS, network.state_dict(), {**header, "seconds": round(seconds, 1)})
    clean_up(job.folder)
    job.say(f"[{job.name}] done in {clock(seconds)}: {job.folder / WEIGHTS}")


def _write_pipeline(path: Path, config: Any, context: Context, template: Any, say: Callable[[str], None]) -> None:
    """Write inpainter and upsampler as one file that needs no configuration to be loaded."""
    model = config.model.to_dict() if hasattr(config.model, "to_dict") else dict(config.model)
    header = {
        "version": __version__,
        "method": config.method,
        "model": {key: value for key, value in model.items() if key in _COMPONENTS or _is_plain(value)},
        "fingerprints": context.fingerprints,
        "data": dict(context.data),
        "budget": context.budget,
        "seed": context.seed,
        "template": template,
    }
    built = HALLUCINATORS.build(header["model"])  # components without training (bicubic) stay as they are built
    for component in _COMPONENTS:
        load_component(getattr(built, component), context.delivered.get(component))
    tensors = {name: tensor for name, tensor in built.state_dict().items() if name.startswith(_COMPONENTS)}
    unchanged = _holds(path, tensors, header)
    if path.exists() and not unchanged:
        say(f"what was finished before in {path.parent} is kept in {keep_finished(path.parent)}")
    atomic_write(path.with_name(CONFIG), to_json(config))
    if not unchanged:
        save_weights(path, tensors, header)
    say(f"finished: {path}")


def _holds(path: Path, tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> bool:
    """Whether a finished pipeline is just this one, whichever version of the package wrote it."""
    try:
        stored, said = load_weights(path)
    except OfhkitError:
        return False
    return (
        {**said, "version": ""} == {**json.loads(json.dumps(header)), "version": ""}
        and stored.keys() == tensors.keys()
        and all(torch.equal(stored[name], tensors[name].cpu()) for name in stored)
    )


def _is_plain(value: Any) -> bool:
    """Whether it is a setting, not a component that only training needs."""
    return value is not None and not isinstance(value, Mapping)


__all__ = ["MODEL", "WEIGHTS", "Options", "check_run", "plan_steps", "run_curriculum"]
