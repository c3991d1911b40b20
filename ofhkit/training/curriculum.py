"""The whole training of a method: the stages it needs, in order, each done once and found again.

Folders under the work dir: ``shared/<stage>-<digest>/`` for stages that methods share, ``<run>/<stage>/`` for a
method's own, ``<run>/model.safetensors`` for the finished pipeline (:mod:`ofhkit.zoo.runs` names the run). A
folder with ``weights.safetensors`` is finished; its ``stage.json`` says what was done.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from ofhkit.config import load_config
from ofhkit.config.check import ROLE_OF_KEY, complete
from ofhkit.data.celeba.prepare import resolve_data
from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.evaluation.compare import compare
from ofhkit.evaluation.scoring import network_gmacs
from ofhkit.registry import DATASETS, PIPELINE, STAGES
from ofhkit.runtime.devices import pick_device, set_malloc_policy
from ofhkit.runtime.distributed import is_main, main_process_first, on_main, world_size
from ofhkit.runtime.files import atomic_write, file_lock
from ofhkit.runtime.progress import clock, log, worth_opening
from ofhkit.runtime.version import __version__
from ofhkit.training.checkpoint import sweep
from ofhkit.training.loop import train_stage
from ofhkit.training.stage import Context, Stage, digest
from ofhkit.training.true_landmarks import TRUE_LANDMARKS
from ofhkit.zoo.runs import finish_run, name_run, set_aside
from ofhkit.zoo.weights import MODEL, component_weights, load_strictly, save_weights

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Options:
    """How a curriculum is run, as given on the command line; none of it but budget changes the result.

    Args:
        work_dir: root of all runs.
        budget: factor on every stage's iterations.
        stages: names of the stages to run; None = all that are needed.
        device: auto, cpu, cuda, mps.
        amp: mixed precision where the device is good at it.
        fresh: start anew; what is there is set aside, not deleted.
    """

    work_dir: Path = Path("work_dirs")
    budget: float = 1.0
    stages: tuple[str, ...] | None = None
    device: str = "auto"
    amp: bool = False
    fresh: bool = False


def train(
    config_file: str | Path,
    options: Options,
    data_root: str | Path | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Path:
    """Run a configuration's curriculum; returns the path of the finished ``model.safetensors``.

    Its folder under ``options.work_dir`` is called after the file and what ``cfg_options`` change of model, losses and
    data; what another run has finished is never written over.

    Args:
        config_file: of ``configs/``.
        options: where and how.
        data_root: overrides the configuration's; a raw CelebA folder is prepared once.
        cfg_options: dotted keys to values.
        seed: overrides ``runtime.seed``.

    Raises:
        OfhkitError: whatever a user can fix.
    """
    overrides = {**(cfg_options or {}), **({} if seed is None else {"runtime.seed": seed})}
    config = load_config(config_file, overrides)
    check_run(config, options)
    resolve_data(config, data_root)
    plain, stem = load_config(config_file), Path(config_file).stem
    name, config.method = on_main(lambda: name_run(config, plain, stem, options.work_dir))
    model = run_curriculum(config, name, options)
    if config.evaluation.after_training and on_main(model.is_file):
        limit = config.evaluation.after_training
        compare([model.parent], options.work_dir, out=model.parent, limit=limit, device=options.device, quick=True)
        worth_opening(model.parent / "grid.png", model.parent / "table1.md", model)
    return model


def run_curriculum(config: Any, name: str, options: Options) -> Path:
    """Run the stages that ``config`` needs and write the finished pipeline.

    Args:
        config: of :func:`ofhkit.config.load_config`; the data root is a pack.
        name: of the run's folder, as of :func:`ofhkit.zoo.runs.name_run`.

    Returns:
        Path of ``model.safetensors`` (it exists only when every stage is finished, and never for a parser alone).

    Raises:
        OfhkitError: no such stage, nothing to train on, a stage broke.
    """
    check_run(config, options)
    device = pick_device(options.device)
    set_malloc_policy()
    train, val = main_process_first(partial(_datasets, config))
    config = copy.deepcopy(config)
    config.model = complete(config.model, "model")
    context = Context(config, train, val, device, options.amp)
    plan = plan_stages(config, options.budget)
    what = f"{len(train)} training faces of {train.metainfo['name']}"
    log.info("%s: %s, device %s, budget %g", name, what, device, options.budget)
    place_stages(plan, config.model)
    for key, stage in plan.items():
        load_from = config.get("load_from") if key == list(plan)[-1] else None
        context = _find_or_run(stage, context, name, options, load_from)
    path = Path(options.work_dir) / name / MODEL
    if not context.left_out and all(part in config.model for part in PIPELINE):
        with _locked(options.work_dir, path.parent):
            on_main(partial(_finish, path, context, options.budget))
    return path


def _finish(path: Path, context: Context, budget: float) -> None:
    header = {
        "version": __version__,
        "method": context.config.method,
        "fingerprints": context.digests,
        "data": context.data,
        "budget": budget,
        "seed": context.seed,
        "template": context.train.metainfo.get("template"),
    }
    finish_run(path, context.config, header, context.outputs)
    sweep(path.parent, torn=".*.tmp")


def _find_or_run(stage: Stage, context: Context, name: str, options: Options, load_from: str | None) -> Context:
    """Carry out a stage if it is wanted and not done; return the context with its output."""
    start = {"load_from": hashlib.sha256(Path(load_from).read_bytes()).hexdigest()} if load_from else {}
    spec = stage.spec(context) | start
    mark = digest(spec)
    folder = Path(options.work_dir) / (f"shared/{stage.name}-{mark}" if stage.shared else f"{name}/{stage.name}")
    wanted = options.stages is None or stage.name in options.stages
    with _locked(options.work_dir, folder):
        done = on_main(partial(_is_done, folder, mark, anew=options.fresh and wanted))
        if done:
            log.info("[%s] already done: %s", stage.name, folder)
        elif wanted:
            for needed in (context.left_out[c] for c in stage.needs if c in context.left_out):
                raise OfhkitError(f"stage {stage.name!r} needs {needed!r}, which is not done: add it to --stages")
            _run(stage, context, spec, folder, load_from)
        if done or wanted:
            on_main(partial(sweep, folder, folder / TRUE_LANDMARKS))
    if not done and not wanted:
        log.info("[%s] left out (--stages); not done yet", stage.name)
        return replace(context, left_out={**context.left_out, stage.trains: stage.name})
    outputs = {**context.outputs, stage.trains: folder / WEIGHTS}
    return replace(context, outputs=outputs, digests={**context.digests, stage.trains: mark})


def _datasets(config: Any) -> tuple[Any, Any]:
    """Training and validation faces; a data set without the latter is trained on without watching."""
    train = DATASETS.build(config.data.dataset, split="train")
    try:
        return train, DATASETS.build(config.data.dataset, split="val")
    except OfhkitError as error:
        log.info("no validation while training: %s", error)
        return train, None


def plan_stages(config: Any, budget: float = 1.0) -> dict[str, Stage]:
    """The stages that this model needs, in order, at a budget."""
    stages = {key: STAGES.build(stage) for key, stage in config.stages.items() if stage is not None}
    plan = {key: stage for key, stage in stages.items() if stage.needed(config.model)}
    for key, stage in plan.items():
        stage.name = key
        stage.scale(budget)
    return plan


def place_stages(plan: Mapping[str, Stage], model: Mapping[str, Any]) -> None:
    """Tell each stage where it stands among all, for the clock: faces times what the networks they meet multiply."""
    work = []
    for stage in plan.values():
        parts = {key: model.get(key) for key in (stage.trains, *stage.needs)}
        networks = [(ROLE_OF_KEY[key], ROLE_OF_KEY[key].build(part)) for key, part in parts.items() if part]
        work.append(stage.iterations * stage.batch_size * sum(network_gmacs(*pair) for pair in networks))
    for i, stage in enumerate(plan.values()):
        stage.place = f"stage {i + 1} of {len(plan)}"
        stage.later = sum(work[i + 1 :]) / work[i] if work[i] else 0.0


def check_run(config: Any, options: Options) -> None:
    """Find what is wrong with a run before any data is read.

    Raises:
        OfhkitError: budget, device, a stage's name or a component's settings.
    """
    if not 0 < options.budget < math.inf:
        raise OfhkitError(f"--budget must be a positive number, got {options.budget}")
    for key in ("model", "data", "stages", "runtime"):
        if not isinstance(config.get(key), Mapping):
            raise OfhkitError(f"{key} is missing: a training needs it, as a file below configs/ shows")
    pick_device(options.device)
    for name in options.stages or ():
        if name not in config.stages:
            raise OfhkitError(f"--stages: no stage {name!r}; {did_you_mean(name, config.stages)}")
    plan = plan_stages(config)
    if plan and config.get("load_from") is not None:
        _check_load_from(config["load_from"], list(plan.values())[-1], config.model)
    for name, stage in plan.items():
        if not stage.main_only and stage.batch_size % world_size():
            raise OfhkitError(
                f"stages.{name}.batch_size {stage.batch_size} does not divide among {world_size()} processes: make it "
                f"a multiple with --cfg-options stages.{name}.batch_size=N, or start another number of processes"
            )


def _check_load_from(file: Any, stage: Stage, model: Mapping[str, Any]) -> None:
    """Open ``load_from`` and hold it against the network of the last stage.

    Raises:
        OfhkitError: it cannot be read or does not fit, or that stage starts from nothing.
    """
    if not isinstance(file, str):
        raise OfhkitError(f"load_from must be the path of a safetensors file, got {file!r}")
    if stage.main_only:
        raise OfhkitError(f"load_from: the last stage, {stage.name!r}, is fitted in one pass and starts from nothing")
    network = ROLE_OF_KEY[stage.trains].build(model[stage.trains])
    load_strictly(network, component_weights(file, stage.trains), f"load_from: {file}")


def _locked(work_dir: Path, folder: Path) -> AbstractContextManager:
    """Lock a stage's folder among jobs (rank 0 for its job); a job that waited finds the stage finished."""
    if not is_main():
        return nullcontext()
    lock = Path(work_dir) / ".locks" / f"{folder.parent.name}-{folder.name}"
    return file_lock(lock, waiting=lambda: log.info("another process is training %s; waiting for it", folder))


def _digest_of(folder: Path) -> str | None:
    try:
        return json.loads((folder / "stage.json").read_text())["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_done(folder: Path, mark: str, anew: bool) -> bool:
    if anew:
        set_aside(folder)
    return (folder / WEIGHTS).is_file() and _digest_of(folder) == mark


def _run(stage: Stage, context: Context, spec: Mapping[str, Any], folder: Path, load_from: str | None) -> None:
    """Carry out a stage and save the network that it trained."""
    on_main(partial(_begin, stage, spec, folder))
    start, stage.began = time.monotonic(), time.process_time()
    if not stage.main_only:
        network = train_stage(stage, context, folder, load_from)
    else:
        network = stage.fit(context) if is_main() else None
    on_main(partial(_save, stage, context, spec, folder, network, time.monotonic() - start))


def _begin(stage: Stage, spec: Mapping[str, Any], folder: Path) -> None:
    """Make the folder, out of which an earlier run with other settings has moved, and write what is done here."""
    finished = (folder / WEIGHTS).is_file()  # and not known for this stage: its stage.json is another's or damaged
    if finished or (not stage.shared and _digest_of(folder) not in (None, digest(spec))):
        aside = set_aside(folder).name
        log.info("[%s] settings or data changed: the earlier run is kept as %s", stage.name, aside)
    atomic_write(folder / "stage.json", json.dumps({"digest": digest(spec), "spec": spec}, indent=2, default=str))


def _save(
    stage: Stage, context: Context, spec: Mapping[str, Any], folder: Path, network: nn.Module, seconds: float
) -> None:
    """Write the weights."""
    header: dict[str, Any] = {"seconds": round(seconds, 1), "core_seconds": round(stage.core_seconds(), 1)}
    header |= {"stage": stage.name, "component": dict(context.model[stage.trains]), "digest": digest(spec)}
    save_weights(folder / WEIGHTS, network.state_dict(), header)
    log.info("[%s] done in %s: %s", stage.name, clock(seconds), folder)
