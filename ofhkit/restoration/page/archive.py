"""Everything of a comparison, or of many pictures, as one zip archive."""

from __future__ import annotations

import csv
import io
import re
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ofhkit.errors import OfhkitError
from ofhkit.functional.images import encode_png
from ofhkit.restoration import MaskOptions, Outcome, Picture, Restorer
from ofhkit.restoration.page.compare import SCORES, Results
from ofhkit.restoration.page.inputs import MEMORY, read_upload
from ofhkit.restoration.page.methods import Method
from ofhkit.restoration.page.photograph import completer_of
from ofhkit.restoration.page.uploads import MAX_ARCHIVE, MAX_FILES
from ofhkit.restoration.writing import Writer, png
from ofhkit.runtime.files import csv_cell

__all__ = ["MASKS", "Row", "pack_results", "restore_many"]

THUMBNAIL = 256
SECONDS = 300  # for many pictures
LATE = "left out: the pictures before it took all the room or time that one go has; restore it in another one"
MASKS = {"Transparent parts": None, "Find it": "auto", "No hole": "none"}


@dataclass(frozen=True)
class Row:
    """One picture of many.

    Attributes:
        name: as its owner calls it.
        image: a thumbnail of the result; None where there is none.
        error: why there is none.
        untouched: nothing of it was restored, because it has no hole.
    """

    name: str
    image: np.ndarray | None
    error: str = ""
    untouched: bool = False


def pack_results(results: Results, methods: Sequence[Method]) -> bytes:
    """A zip archive of what the page shows: ``lr.png``, ``mask.png``, a folder a method, ``scores.csv``."""
    infos = {m.name: m.model.info for m in methods}
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["method", *SCORES, "seconds"])
    files = {"lr.png": encode_png(results.lr), "mask.png": encode_png(results.hidden.astype(np.uint8) * 255)}
    if results.truth is not None:
        files["truth.png"] = encode_png(results.truth.image)
    if results.photo:
        files["photograph.png"] = png(results.photo[1], methods[0].model.info)
    for figure in results.methods:
        folder = _safe(figure.name)
        files[f"{folder}/sr.png"] = png(figure.image, infos[figure.name])
        files[f"{folder}/completed.png"] = png(figure.completed, infos[figure.name])
        scores = [f"{figure.scores[name]:.4f}" if name in figure.scores else "" for name in SCORES]
        writer.writerow([csv_cell(figure.name), *scores, f"{figure.seconds:.3f}"])
    files["scores.csv"] = table.getvalue().encode()
    return _zip(files)


def restore_many(
    paths: Sequence[tuple[Path, str]], mask: str, method: Method, archive: Path, memory: int = MEMORY
) -> list[Row]:
    """Restore uploaded pictures one after the other; a picture that fails leaves no picture.

    Args:
        paths: files with the names that their owner gave them.
        mask: a key of :data:`MASKS`.
        archive: where a zip of all results and ``results.csv`` is written.
        memory: bytes that a picture may take.

    Raises:
        OfhkitError: none, or too many pictures.
    """
    if not paths:
        raise OfhkitError("no pictures were chosen; add some first")
    if len(paths) > MAX_FILES:
        raise OfhkitError(f"{len(paths)} pictures are more than {MAX_FILES} at once; choose fewer")
    restorer = Restorer(method.model, MaskOptions(mask=MASKS[mask]), completer=completer_of(method.model))
    rows, end = [], time.monotonic() + SECONDS
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder, zipfile.ZipFile(archive, "w") as packed:
        out = Writer(Path(folder), method.model.info)
        for number, (path, label) in enumerate(paths, 1):
            late = time.monotonic() > end or archive.stat().st_size > MAX_ARCHIVE
            outcome = _failed(label, LATE) if late else _restore(restorer, path, label, memory)
            outcome = out.write(outcome, f"{number:02d}_{_safe(Path(label).stem)}")
            out.rows[-1]["input"] = label
            rows.append(Row(label, _thumbnail(outcome.image), outcome.error or "", outcome.untouched))
            _move(Path(folder), packed)
        out.save_table()
        _move(Path(folder), packed)
    return rows


def _restore(restorer: Restorer, path: Path, label: str, memory: int) -> Outcome:
    """One picture alone, so that no others wait in the memory."""
    try:
        return next(restorer.restore([read_upload(path, label, memory)]))
    except OfhkitError as error:
        return _failed(label, str(error))


def _failed(label: str, error: str) -> Outcome:
    return Outcome(Picture(label, np.zeros((1, 1, 3), np.uint8)), error=error)


def _move(folder: Path, packed: zipfile.ZipFile) -> None:
    """Move the files of a folder into an archive."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            packed.write(path, path.relative_to(folder))
            path.unlink()


def _thumbnail(image: np.ndarray | None) -> np.ndarray | None:
    if image is None:
        return None
    small = Image.fromarray(image)
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return np.asarray(small)


def _safe(name: str) -> str:
    """A name without anything that an archive could lead astray."""
    return re.sub(r"[^\w+-]+", "_", name).strip("_")[:60] or "picture"


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()
