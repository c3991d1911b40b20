"""Checkpoints that are whole, newest first, and never run anybody's code.

They are ``torch.save`` files of tensors and plain values, read with ``weights_only=True`` always.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ofhkit.errors import OfhkitError
from ofhkit.runtime.files import atomic_write
from ofhkit.runtime.progress import log
from ofhkit.zoo.weights import first_line

_NAME = "iter_{:08d}.pth"
_PATTERN = re.compile(r"iter_(\d+)\.pth")


def save_checkpoint(folder: Path, iteration: int, state: Mapping[str, Any], keep: int = 2) -> Path:
    """Write ``iter_N.pth`` atomically, then remove all but the newest ``keep``, and what a killed save left behind."""
    buffer = io.BytesIO()  # of a full disk torch.save makes a RuntimeError without a reason
    torch.save(dict(state), buffer)
    path = atomic_write(Path(folder) / _NAME.format(iteration), lambda file: file.write(buffer.getbuffer()))
    for old in list_checkpoints(folder)[keep:]:
        old.unlink(missing_ok=True)
    for torn in Path(folder).glob(".iter_*.tmp"):  # one process at a time writes here
        torn.unlink(missing_ok=True)
    return path


def list_checkpoints(folder: Path) -> list[Path]:
    """Training checkpoints of a folder, newest first."""
    found = [p for p in Path(folder).glob("iter_*.pth") if _PATTERN.fullmatch(p.name) and not p.is_dir()]
    return sorted(found, key=lambda p: int(_PATTERN.fullmatch(p.name)[1]), reverse=True)


def sweep(folder: Path, *more: Path, torn: str = "**/.*.tmp") -> None:
    """Remove the checkpoints of what is finished, what killed processes began to write there, and ``more``."""
    for path in (*list_checkpoints(folder), *Path(folder).glob(torn), *more):
        path.unlink(missing_ok=True)


def load_checkpoint(path: str | Path) -> dict:
    """Read a training checkpoint onto the CPU without executing anything in it.

    Raises:
        OfhkitError: no such file, damaged, or it holds code (the refused names are listed).
    """
    path = Path(path)
    if not path.is_file():
        raise OfhkitError(f"no checkpoint {path}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        try:
            refused = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        except Exception:  # older formats than torch's archives
            refused = {*re.findall(r"\bGLOBAL ([\w.]+)", str(error)), *_named_in_pickle(path.read_bytes())}
        if refused:
            names = ", ".join(sorted(refused))
            raise OfhkitError(f"{path} holds code and was not opened: {names}; ask for a safetensors file") from None
        raise OfhkitError(f"{path} is damaged, or no checkpoint, and cannot be read") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise OfhkitError(f"{path} is damaged and cannot be read ({first_line(error)})") from None


def _named_in_pickle(content: bytes) -> set[str]:
    """What a bare pickle would import; nothing where it is none."""
    names: set[str] = set()
    words = ["", ""]
    try:
        for code, argument, _ in pickletools.genops(content):
            if code.name in ("GLOBAL", "INST"):
                names.add(argument.replace(" ", "."))
            elif code.name == "STACK_GLOBAL":
                names.add(".".join(words[-2:]))
            elif isinstance(argument, str):
                words.append(argument)
    except Exception:  # of bytes that are no pickle
        return set()
    return names


def newest_checkpoint(folder: Path, check: Callable[[dict, str], Any] | None = None) -> Path | None:
    """Return the newest training checkpoint that can be used, after a warning about each newer one; None without any.

    Args:
        check: is given what a checkpoint holds, and its path; raises :class:`OfhkitError` where that cannot be used.
    """
    for path in list_checkpoints(folder):
        try:
            state = load_checkpoint(path)
            if check is not None:
                check(state, str(path))
            return path
        except OfhkitError as error:
            log.warning("%s; trying the one before", error)
    return None
