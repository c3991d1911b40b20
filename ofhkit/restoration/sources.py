"""Which files are meant: files, folders, globs; each with a name of its own for what will be written."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ofhkit.restoration.pictures import PICTURES, VIDEOS

__all__ = ["Names", "Source", "collect"]


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
    found: dict[Path, Source] = {}
    hidden = [path.resolve() for path in leave_out]

    def add(paths: Iterable[Path], given: str | Path, nothing: str) -> None:
        kept = [p for p in paths if not any(h == p.resolve() or h in p.resolve().parents for h in hidden)]
        for path in kept:
            found.setdefault(path.resolve(), Source(path))
        if not kept:
            found.setdefault(Path(given), Source(Path(given), nothing))

    for given in inputs:
        path = Path(given).expanduser()
        if path.is_dir():
            add(sorted(p for p in path.rglob("*") if _is_picture(p)), given, f"{given}: the folder holds no pictures")
        elif path.exists():
            found.setdefault(path.resolve(), Source(path))
        elif glob.has_magic(str(given)):
            matches = sorted(Path(p) for p in glob.glob(str(path), recursive=True))
            add([p for p in matches if p.is_file()], given, f"{given}: no file matches")
        else:
            found.setdefault(path, Source(path, f"{given}: no such file"))
    return list(found.values())


def _is_picture(path: Path) -> bool:
    inside = path.suffix.lower() in (*PICTURES, *VIDEOS) and not path.name.startswith(".")
    return inside and path.is_file()


class Names:
    """Gives every picture a name that no other has.

    Args:
        taken: names that none may have.

    >>> names = Names(); [names.take(n, s) for n, s in (('a', '.jpg'), ('a', '.png'), ('a', '.png'))]
    ['a', 'a-png', 'a-2']
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {name.lower() for name in taken}

    def take(self, name: str, suffix: str = "") -> str:
        """The name itself, with its suffix, or with a number; compared without regard to case, as some disks do."""
        choices = [name] + ([f"{name}-{suffix.lstrip('.').lower()}"] if suffix else [])
        numbered = (f"{name}-{number}" for number in itertools.count(2))
        chosen = next(c for c in itertools.chain(choices, numbered) if c.lower() not in self._taken)
        self._taken.add(chosen.lower())
        return chosen
