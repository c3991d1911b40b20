"""Where a run goes: one folder a configuration, and what is finished there is never written over.

A run is called after its configuration file. One whose model, losses or data differ from that file's
(``--cfg-options``), or from those of the run that has the folder already (another file of the same name), is called by
what differs as well: ``ofhnet_synthetic+upsampler=FSRCNN``. Another budget, seed or schedule keeps the finished model
in ``before-N``.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from glob import escape
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ofhkit.config import from_json, to_json
from ofhkit.config.check import complete
from ofhkit.errors import OfhkitError
from ofhkit.registry import HALLUCINATORS, PIPELINE
from ofhkit.runtime.files import atomic_write
from ofhkit.runtime.progress import log
from ofhkit.zoo.weights import MODEL, load_strictly, load_weights, save_weights

__all__ = ["CONFIG", "KEPT", "find_run", "finish_run", "finished_runs", "keep_finished", "name_run", "set_aside"]

CONFIG = "config.json"
KEPT = "before-{}"
_LONGEST = 120  # characters of a folder's name


def name_run(config: Any, plain: Any, stem: str, work_dir: Path) -> tuple[str, str]:
    """Return the name of a run's folder and of its method.

    Args:
        config: what is to be trained.
        plain: the same configuration file without options.
        stem: of that file.

    Returns:
        ``stem`` and the configuration's method for what the file says; otherwise ``stem+what=differs``, which is the
        method's name too where the configuration gives it none of its own.
    """
    own, name, others_name = _identity(config), stem, False
    other = plain
    while True:
        if own != _identity(other):
            name = _safe("+".join([name, *_differences(own, _identity(other))]))
            others_name |= config.get("method") == other.get("method")
        stored = Path(work_dir) / name / CONFIG
        if not stored.is_file() or _identity(other := from_json(stored)) == own:
            return name, name if others_name else config.get("method")


def finished_runs(stem: str, work_dir: Path) -> list[Path]:
    """Folders of all finished runs of a configuration file's name: as it stands there, and with something changed."""
    folders = (Path(work_dir) / stem, *sorted(Path(work_dir).glob(f"{escape(stem)}+*")))
    return [folder for folder in folders if (folder / MODEL).is_file()]


def find_run(config: Any, stem: str, work_dir: Path) -> Path | None:
    """Return the folder of the finished run of just this model, these losses and data, or None."""
    own = _identity(config)
    runs = finished_runs(stem, work_dir)
    return next((folder for folder in runs if _identity(from_json(folder / CONFIG)) == own), None)


def set_aside(folder: Path) -> Path:
    """Rename a folder out of the way; nothing is deleted."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.before-{number}")).exists():
        number += 1
    if folder.exists():
        folder.rename(aside)
    return aside


def keep_finished(folder: Path) -> Path:
    """Move a finished model and its results into the next free ``before-N``; after a kill the next run goes on."""
    number = 1
    while (aside := folder / KEPT.format(number) / MODEL).exists():
        number += 1
    aside.parent.mkdir(exist_ok=True)
    for file in sorted((p for p in folder.iterdir() if p.is_file()), key=lambda p: p.name == MODEL):
        file.rename(aside.parent / file.name)
    return aside.parent


def finish_run(path: Path, config: Any, header: Mapping[str, Any], outputs: Mapping[str, Path]) -> None:
    """Write a run's inpainter and upsampler as one ``model.safetensors``, with the configuration beside it.

    A finished model that differs is kept in ``before-N``.

    Args:
        path: of the file.
        config: resolved; what only training needs of its ``model`` is not written.
        header: what else the file says of itself.
        outputs: component -> its weights; one without (bicubic) stays as it is built.
    """
    model = config.model.to_dict() if hasattr(config.model, "to_dict") else dict(config.model)
    plain = {k: v for k, v in model.items() if k in PIPELINE or not (v is None or isinstance(v, Mapping))}
    spent = [load_weights(file)[1].get("core_seconds") for file in outputs.values()]
    hours = {} if None in spent else {"core_hours": round(sum(spent) / 3600, 4)}  # older stages did not note it
    header = {**header, **hours, "model": plain}
    built = HALLUCINATORS.build(plain)
    for component in PIPELINE:
        if component in outputs:
            load_strictly(getattr(built, component), load_weights(outputs[component])[0], str(outputs[component]))
    tensors = {name: tensor.cpu() for name, tensor in built.state_dict().items() if name.startswith(PIPELINE)}
    unchanged = _holds(path, tensors, header)
    if path.exists() and not unchanged:
        log.info("what was finished before in %s is kept in %s", path.parent, keep_finished(path.parent))
    atomic_write(path.with_name(CONFIG), to_json(config))
    if not unchanged:
        save_weights(path, tensors, header)
    log.info("finished: %s", path)


def _holds(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> bool:
    """Whether a finished pipeline is just this one, whichever version of the package wrote it."""
    try:
        stored, found = load_weights(path)
    except OfhkitError:
        return False
    beside = {"version": "", "core_hours": 0}
    same = {**found, **beside} == {**json.loads(json.dumps(header)), **beside}
    return same and stored.keys() == tensors.keys() and all(torch.equal(stored[k], v) for k, v in tensors.items())


def _identity(config: Any) -> dict[str, Any]:
    """What makes a run another method: model, losses and data, defaults written out; but not where the data lie."""
    plain = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    data = plain.get("data") or {}
    dataset = {key: value for key, value in (data.get("dataset") or {}).items() if key != "root"}
    losses = {name: stage["loss"] for name, stage in (plain.get("stages") or {}).items() if stage and stage.get("loss")}
    parts = {"model": plain.get("model") or {}, "dataset": dataset, "degradation": data.get("degradation") or {}}
    completed = {key: _completed(part, key) for key, part in parts.items()}
    model = {key: value for key, value in completed.pop("model").items() if value is not None}
    return {**model, **completed, "stages": {name: {"loss": _completed(loss, "loss")} for name, loss in losses.items()}}


def _completed(part: Mapping[str, Any], key: str, parent: str = "") -> dict[str, Any]:
    try:
        return complete(part, key, parent) if "type" in part else dict(part)
    except OfhkitError:  # a stored run whose plugin is not here
        return dict(part)


def _differences(own: Mapping, other: Mapping, prefix: str = "", parent: str = "") -> Iterator[str]:
    """What differs, as ``upsampler=FSRCNN`` or ``losses.pixel.weight=2.0``."""
    for key in dict.fromkeys([*own, *other]):
        mine, theirs, dotted = own.get(key), other.get(key), f"{prefix}{key}"
        if mine == theirs:
            continue
        if not isinstance(mine, Mapping):
            yield f"{dotted}={','.join(map(str, mine)) if isinstance(mine, list | tuple) else mine}"
            continue
        if not isinstance(theirs, Mapping):
            theirs = {}
        if mine.get("type") != theirs.get("type"):
            yield f"{dotted}={mine.get('type')}"
            theirs = _completed({"type": mine.get("type")}, key, parent)
        yield from _differences(mine, theirs, f"{dotted}.", key)


def _safe(name: str) -> str:
    """A name that every file system takes and a shell needs no quotes for; two names stay two.

    >>> _safe('a+data=x/y')[:12], _safe('ofhnet_synthetic+upsampler=FSRCNN')
    ('a+data=x-y-8', 'ofhnet_synthetic+upsampler=FSRCNN')
    """
    safe = re.sub(r"[^\w.,+=-]+", "-", name, flags=re.ASCII)
    if safe == name and len(name) <= _LONGEST:
        return name
    return f"{safe[: _LONGEST - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
