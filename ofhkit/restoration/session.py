"""A whole run of ``ofhkit infer``: from INPUT… to a folder of results."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ofhkit.errors import OfhkitError, is_warning
from ofhkit.restoration.pictures import Picture, is_still, read_pictures
from ofhkit.restoration.restorer import Outcome, Restorer
from ofhkit.restoration.sources import Names, Source, collect
from ofhkit.restoration.video import assemble, count_frames, is_video
from ofhkit.restoration.writing import FOLDERS, Writer
from ofhkit.runtime.distributed import gather, is_main, rank, world_size
from ofhkit.runtime.progress import Progress, log

__all__ = ["restore_files"]


def restore_files(
    inputs: Sequence[str | Path], out: str | Path, restorer: Restorer, every: int = 1, credentials: bool = False
) -> Writer:
    """Restore files, folders, patterns and videos into a folder; a picture or mask that lies there is not overwritten.

    The processes of a job restore every picture once, in turn, and come to one table, with the names and the order of
    one process. Faces that go through the network in other batches may differ by a grey level; with ``batch_size=1``
    they are the same bits.

    Args:
        inputs: see :func:`ofhkit.restoration.sources.collect`.
        out: the folder for pictures and ``results.csv``.
        every: of videos and animations, take every n-th frame.
        credentials: sign restored pictures with content credentials (C2PA).

    Returns:
        The writer: its ``rows`` are the table, ``failed`` counts the pictures without a result.

    Raises:
        OfhkitError: nothing can be written, a picture or mask lies where it could be overwritten, or ``every`` is not
            positive.
    """
    if every < 1:
        raise OfhkitError(f"--every must be a positive whole number, got {every}")
    mask = restorer.mask.mask
    masks = [Path(mask)] if isinstance(mask, (str, Path)) and mask not in ("auto", "none") else []
    if masks and not os.path.exists(masks[0]):
        raise OfhkitError(f"--mask {mask}: no such file or folder; or say auto or none")
    sources = collect(inputs, leave_out=[Path(out), *masks])
    names = _free_names([s.path for s in sources if not s.error] + [p for m in masks for p in _files(m)], Path(out))
    writer = Writer(Path(out), getattr(restorer.model, "info", {}), credentials)
    videos = [s.path for s in sources if not s.error and is_video(s.path)]
    total = len(sources) - len(videos) + sum(-(-count_frames(path) // every) for path in videos)
    bar = Progress(total, "pictures") if total > 1 else None
    numbered: deque[tuple[int, str]] = deque()  # the pictures that are being restored here

    def ours() -> Iterator[Picture | Outcome]:
        for number, (source, name, picture) in enumerate(_deal(sources, every)):
            taken = names.take(name, source.path.suffix)
            if picture is not None:
                numbered.append((number, taken))
                yield picture

    done: list[tuple[int, dict[str, Any], list[str]]] = []
    try:
        for outcome in restorer.restore(ours()):
            number, name = numbered.popleft()
            outcome = writer.write(outcome, name)
            done.append((number, writer.rows[-1], _lines(name, outcome, writer)))
            _tell(done[-1][2])
            if bar is not None:
                bar.total = max(bar.total, bar.done + 1)
                bar.update(1)
        _join(done, writer)
        for path in videos if is_main() else ():
            _tell(_film(path, writer, every))
    finally:
        if is_main():
            writer.save_table()
    return writer


def _files(mask: Path) -> list[Path]:
    return list(mask.glob("*")) if mask.is_dir() else [mask]


def _free_names(given: Iterable[Path], out: Path) -> Names:
    """Names for results under which no file lies that is read.

    Raises:
        OfhkitError: a file that is read lies in a folder for results of which a picture may have several.
    """
    folder, taken = Path(os.path.realpath(out)), []
    for path in given:
        real = Path(os.path.realpath(path))
        places = {Path(os.path.realpath(path.parent)), real.parent}  # it may be a link
        if path.suffix.lower() == ".png" and any(folder / name in places for name in FOLDERS):
            raise OfhkitError(f"{path} lies where results are written: copy it elsewhere, or name another --out")
        if folder in places:
            taken += [path.stem, real.stem]
    return Names(taken)


def _deal(sources: Iterable[Source], every: int) -> Iterator[tuple[Source, str, Picture | Outcome | None]]:
    """Every picture of every file in order: its file, its name, itself; None is another process's to restore.

    Only the headers of other processes' pictures are read; videos and animations are decoded by all.
    """
    number = 0
    for source in sources:
        if number % world_size() != rank() and (source.error or is_still(source.path)):
            yield source, source.path.stem, None
            number += 1
            continue
        for picture in _read(source, every):
            name = picture.picture.name if isinstance(picture, Outcome) else picture.name
            yield source, name, picture if number % world_size() == rank() else None
            number += 1


def _read(source: Source, every: int) -> Iterator[Picture | Outcome]:
    """Every picture of a file; if it cannot be read, its failure."""
    try:
        if source.error:
            raise OfhkitError(source.error)
        yield from read_pictures(source.path, every)
    except OfhkitError as error:
        nothing = Picture(source.path.stem, np.zeros((1, 1, 3), np.uint8), None, source.path)
        yield Outcome(nothing, error=str(error))


def _join(done: list[tuple[int, dict[str, Any], list[str]]], writer: Writer) -> None:
    """Bring the tables of all processes together, in the order of the inputs."""
    if world_size() == 1:
        return
    everyone = sorted((item for part in gather(done) for item in part), key=lambda item: item[0])
    own = {number for number, _, _ in done}
    for number, _, lines in everyone:
        if number not in own:
            _tell(lines)
    writer.rows = [row for _, row, _ in everyone]


def _film(path: Path, writer: Writer, every: int) -> list[str]:
    """Join the frames of a video that were restored; what there is to say of it."""
    rows = [r for r in writer.rows if r["input"] == str(path) and r["status"] == "restored"]
    frames = {int(row["output"].removesuffix(".png").rpartition("_")[2]): writer.out / row["output"] for row in rows}
    if not frames:
        return []
    try:
        return [f"{path.stem}: {assemble(path, frames, writer.out / f'{path.stem}.mp4', every)}"]
    except (OfhkitError, OSError, cv2.error) as error:
        return [f"{path.stem}: warning: no video was written: {error}"]


def _lines(name: str, outcome: Outcome, writer: Writer) -> list[str]:
    """What there is to say of a picture: where its result lies, or why there is none; of a video's frame only that."""
    failed = [f"{name}: failed: {outcome.error}"] if outcome.error else []
    if not failed and not is_video(outcome.picture.path):
        failed = [f"{name}: {writer.out / writer.rows[-1]['output']}"]
    return failed + [f"{name}: {note}" for note in outcome.notes if is_warning(note)]


def _tell(lines: Iterable[str]) -> None:
    for line in lines:
        log.info(line)
