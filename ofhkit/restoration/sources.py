"""Which files are meant: files, folders, globs; each with a name of its own for what will be written."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ofhkit.restoration.pictures import PICTURES, VIDEOS

__all__ = ["Names", "Source", "collect"]

LONGEST = 200  # bytes of a name: files have 255, and faces, uncertainty and unfinished files have longer ones


@dataclass(frozen=True)
class Source:
    """A file to read, or why there is none.

    Attributes:
        path: as given or found.
        error: why it cannot be read; None where it is to be tried.
    """

    path: Path
    error: str | None = None


def collect(inputs: Iterable[str | Path], leave_out: Sequence[Path] = ()) -> list[Source]:
    """Find the files behind INPUT…; a file that is named twice is taken once.

    Args:
        inputs: files are taken as they are named; of folders (with their subfolders) the pictures and videos; what
            exists under no such name is read as a glob pattern.
        leave_out: files and folders that folders and patterns do not find: the output's, the masks'.
    """
    found: dict[str, Source] = {}
    hidden = [Path(os.path.realpath(path)) for path in leave_out]
    for given in inputs:
        try:
            for source in _find(given, hidden):
                found.setdefault(os.path.realpath(source.path), source)
        except (OSError, RuntimeError, ValueError) as error:  # a name too long, nobody's home, a null character
            found[str(given)] = Source(Path(given), f"{given}: {getattr(error, 'strerror', None) or error}")
    return list(found.values())


def _find(given: str | Path, hidden: Sequence[Path]) -> list[Source]:
    """Files behind one INPUT."""
    path = Path(given).expanduser()
    if path.is_dir():
        paths, nothing = sorted(p for p in path.rglob("*") if _is_picture(p)), "the folder holds no pictures"
    elif glob.has_magic(str(given)) and not os.path.lexists(path):
        matches = sorted(Path(p) for p in glob.glob(str(path), recursive=True))
        paths, nothing = [p for p in matches if not p.is_dir()], "no file matches"
    else:
        return [Source(path)]  # reading says what is wrong with it
    real = [Path(os.path.realpath(p)) for p in paths]
    kept = [p for p, r in zip(paths, real) if not any(h == r or h in r.parents for h in hidden)]
    return [Source(p) for p in kept] or [Source(Path(given), f"{given}: {nothing}")]


def _is_picture(path: Path) -> bool:
    """Whether a name is a picture's; a pipe or a dangling link that is called so counts, and fails when it is read."""
    return path.suffix.lower() in (*PICTURES, *VIDEOS) and not path.name.startswith(".") and not os.path.isdir(path)


class Names:
    """Gives every picture a name that no other has.

    A name longer than a file's may be, with what is appended to it, is cut.

    Args:
        taken: names that none may have.

    >>> names = Names(); [names.take(n, s) for n, s in (('a', '.jpg'), ('a', '.png'), ('a', '.png'))]
    ['a', 'a-png', 'a-2']
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {name.lower() for name in taken}

    def take(self, name: str, suffix: str = "") -> str:
        """The name itself, with its suffix, or with a number; compared without regard to case, as some disks do."""
        if len(os.fsencode(name)) > LONGEST:
            name = os.fsencode(name)[:LONGEST].decode("utf-8", "ignore")
        choices = [name] + ([f"{name}-{suffix.lstrip('.').lower()[:9]}"] if suffix else [])
        numbered = (f"{name}-{number}" for number in itertools.count(2))
        chosen = next(c for c in itertools.chain(choices, numbered) if c.lower() not in self._taken)
        self._taken.add(chosen.lower())
        return chosen
