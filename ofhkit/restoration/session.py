"""A whole run of ``tools/infer.py``: from INPUT… to a folder of results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from ofhkit.errors import OfhkitError
from ofhkit.progress import say
from ofhkit.restoration.pictures import Picture, read_pictures
from ofhkit.restoration.restorer import Outcome, Restorer
from ofhkit.restoration.sources import Names, Source, collect
from ofhkit.restoration.writing import Writer

__all__ = ["restore_files"]


def restore_files(inputs: Sequence[str | Path], out: str | Path, restorer: Restorer, every: int = 1) -> Writer:
    """Restore files, folders, patterns and videos into a folder; a picture or mask that lies there is not overwritten.

    Args:
        inputs: see :func:`ofhkit.restoration.sources.collect`.
        out: the folder for pictures and ``results.csv``.
        every: of videos and animations, take every n-th frame.

    Returns:
        The writer: its ``rows`` are the table, ``failed`` counts the pictures without a result.

    Raises:
        OfhkitError: nothing can be written, or ``every`` is not positive.
    """
    if every < 1:
        raise OfhkitError(f"--every must be a positive whole number, got {every}")
    mask = restorer.hole.mask
    masks = [Path(mask)] if isinstance(mask, (str, Path)) and mask not in ("auto", "none") else []
    if masks and not masks[0].exists():
        raise OfhkitError(f"--mask {mask}: no such file or folder; or say auto or none")
    writer = Writer(Path(out), getattr(restorer.model, "info", {}))
    sources = collect(inputs, leave_out=[Path(out), *masks])
    given = [s.path for s in sources] + [p for m in masks for p in (m.glob("*") if m.is_dir() else [m])]
    names = Names(p.stem for p in given if p.suffix.lower() == ".png" and p.parent.resolve() == writer.out.resolve())
    try:
        for outcome in restorer.restore(_read(sources, every)):
            path = outcome.picture.path
            name = names.take(outcome.picture.name, path.suffix if path else "")
            writer.write(outcome, name)
            _tell(name, outcome)
    finally:
        writer.save_table()
    return writer


def _read(sources: Iterable[Source], every: int) -> Iterator[Picture | Outcome]:
    """Every picture of every file, one after the other; of a file that cannot be read, its failure."""
    for source in sources:
        try:
            if source.error:
                raise OfhkitError(source.error)
            yield from read_pictures(source.path, every)
        except OfhkitError as error:
            nothing = Picture(source.path.stem, np.zeros((1, 1, 3), np.uint8), None, source.path)
            yield Outcome(nothing, error=str(error))


def _tell(name: str, outcome: Outcome) -> None:
    if outcome.error:
        say(f"{name}: failed: {outcome.error}")
    for note in outcome.notes:
        if note.startswith("warning"):
            say(f"{name}: {note}")
