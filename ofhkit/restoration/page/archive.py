"""Everything of a comparison, or of many pictures, as one zip archive in memory."""

from __future__ import annotations

import csv
import io
import re
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ofhkit.errors import OfhkitError
from ofhkit.functional.images import encode_png
from ofhkit.restoration import HoleOptions, Outcome, Picture, Restorer, read_pictures
from ofhkit.restoration.page.compare import SCORES, Results
from ofhkit.restoration.page.methods import Method
from ofhkit.restoration.page.uploads import MAX_BYTES, MAX_FILES
from ofhkit.restoration.writing import Writer, png

__all__ = ["HOLES", "Batch", "Row", "pack_results", "restore_many"]

THUMBNAIL = 256
HOLES = {"Transparent parts": None, "Find it": "auto", "No hole": "none"}


@dataclass(frozen=True)
class Row:
    """One picture of many: its name, a thumbnail of the restored picture or the reason why there is none."""

    name: str
    image: np.ndarray | None
    error: str = ""
    notes: str = ""


@dataclass(frozen=True)
class Batch:
    """Many restored pictures, and the archive that holds them and ``results.csv``."""

    rows: tuple[Row, ...]
    archive: bytes


def pack_results(results: Results, methods: Sequence[Method]) -> bytes:
    """A zip archive of what the page shows: ``lr.png``, ``mask.png``, a folder a method, ``scores.csv``."""
    infos = {m.name: m.model.info for m in methods}
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["method", *SCORES, "seconds"])
    files = {"lr.png": encode_png(results.lr), "mask.png": encode_png(results.hidden.astype(np.uint8) * 255)}
    if results.truth is not None:
        files["truth.png"] = encode_png(results.truth.image)
    for figure in results.methods:
        folder = _safe(figure.name)
        files[f"{folder}/sr.png"] = png(figure.image, infos[figure.name])
        files[f"{folder}/completed.png"] = png(figure.completed, infos[figure.name])
        scores = [f"{figure.scores[name]:.4f}" if name in figure.scores else "" for name in SCORES]
        writer.writerow([figure.name, *scores, f"{figure.seconds:.3f}"])
    files["scores.csv"] = table.getvalue().encode()
    return _zip(files)


def restore_many(paths: Sequence[tuple[str | Path, str]], hole: str, method: Method) -> Batch:
    """Restore uploaded pictures in one batch; a picture that fails leaves no picture.

    Args:
        paths: files with the names that their owner gave them.
        hole: a key of :data:`HOLES`.

    Raises:
        OfhkitError: none, or too many pictures.
    """
    if not paths:
        raise OfhkitError("no pictures were chosen; add some first")
    if len(paths) > MAX_FILES:
        raise OfhkitError(f"{len(paths)} pictures are more than {MAX_FILES} at once; choose fewer")
    names = [Path(label).name for _, label in paths]
    with tempfile.TemporaryDirectory(prefix="ofhkit-") as folder:
        out = Writer(Path(folder), method.model.info)
        rows = []
        read = (_read(Path(path), name) for (path, _), name in zip(paths, names))  # a few at a time: they may be large
        outcomes = Restorer(method.model, HoleOptions(mask=HOLES[hole])).restore(read)
        for number, (outcome, name) in enumerate(zip(outcomes, names), 1):
            out.write(outcome, f"{number:02d}_{_safe(Path(name).stem)}")
            out.rows[-1]["input"] = name
            rows.append(Row(name, _thumbnail(outcome.image), outcome.error or "", "; ".join(outcome.notes)))
        out.save_table()
        files = {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file()
        }
    return Batch(tuple(rows), _zip(files))


def _read(path: Path, name: str) -> Picture | Outcome:
    """A picture, or why there is none; errors name it as its owner does."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise OfhkitError(f"{name}: more than {MAX_BYTES // 2**20} MB; reduce it first")
        return next(read_pictures(path))
    except OfhkitError as error:
        return Outcome(Picture(name, np.zeros((1, 1, 3), np.uint8)), error=str(error).replace(str(path), name))


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
