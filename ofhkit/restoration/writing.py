"""What is written: pictures that say what they are, overlays of what was understood, and every picture's status."""

from __future__ import annotations

import contextlib
import csv
import filecmp
import io
import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from ofhkit.errors import OfhkitError
from ofhkit.functional.images import contact_sheet
from ofhkit.restoration import jpeg, provenance
from ofhkit.restoration.composition import draw_overlay, draw_uncertainty
from ofhkit.restoration.outcome import Outcome
from ofhkit.restoration.pictures import PICTURES, Picture
from ofhkit.runtime.files import atomic_write, csv_cell, is_writable, open_regular
from ofhkit.runtime.version import __version__

__all__ = ["COLUMNS", "FOLDERS", "WARNING", "Writer", "png"]

WARNING = "hallucinated: not for identification"
AFTER_HEADER = 33  # bytes of a PNG's signature and its first chunk
FOLDERS = ("overlays", "faces", "uncertainty", "samples")
COLUMNS = ("input", "name", "status", "kind", "faces", "hidden_of_256", "consistency_db", "uncertainty_in_hole",
           "output", "notes", "error")  # fmt: skip


def png(image: np.ndarray, info: Mapping[str, Any], profile: bytes | None = None, **more: str) -> bytes:
    """A PNG that says it was hallucinated, by which version and which model.

    Args:
        image: (H, W, 1 to 4) uint8 or uint16: grey or RGB, then transparency.
        info: a model's ``info``.
        profile: the ICC profile of its colors.
        more: further text entries.

    >>> image = Image.open(io.BytesIO(png(np.zeros((2, 2, 3), np.uint8), {'name': 'ofhnet'})))
    >>> image.text['Comment']
    'hallucinated: not for identification'
    """
    text = PngImagePlugin.PngInfo()
    entries = {"Software": f"ofhkit {__version__}", "Comment": WARNING, "Model": str(info.get("name", "")), **more}
    if info.get("licence"):
        entries["Model licence"] = str(info["licence"])
    for key, value in entries.items():
        text.add_itxt(key, value) if not value.isascii() else text.add_text(key, value)
    file = io.BytesIO()
    flat = image[..., 0] if image.shape[2] == 1 else image
    if image.dtype == np.uint8 or flat.ndim == 2:
        Image.fromarray(flat).save(file, "PNG", pnginfo=text, compress_level=4, icc_profile=profile)
        return file.getvalue()
    order = {2: [0, 0, 0, 1], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[image.shape[2]]
    coded = cv2.imencode(".png", image[..., order])[1].tobytes()  # Pillow writes no color of 16 bits
    for kind, content, *_ in text.chunks:
        PngImagePlugin.putchunk(file, kind, content)
    return coded[:AFTER_HEADER] + file.getvalue() + coded[AFTER_HEADER:]


class Writer:
    """Writes outcomes into a folder.

    ``NAME.png`` is the restored picture (an untouched one is copied, with its own suffix), ``overlays/NAME.png`` shows
    hole and crops, ``faces/NAME_1.png`` the faces of a photograph; if asked, ``uncertainty/NAME_1.png`` shows where the
    model is unsure and ``samples/NAME_1.png`` other answers. What an earlier run wrote under a picture's name is
    replaced or removed; a picture that failed leaves nothing.

    Args:
        out: the folder.
        info: of the model.
        credentials: sign restored pictures with content credentials (C2PA).

    Raises:
        OfhkitError: nothing can be written there; credentials are asked for, and what makes them is not installed.
    """

    def __init__(self, out: Path, info: Mapping[str, Any], credentials: bool = False):
        self.out, self.info, self.rows = Path(out), info, list[dict[str, Any]]()
        self.credentials = credentials
        if credentials:
            provenance.certificate()
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OfhkitError(f"--out {out}: {error.strerror or error}; name another folder") from None
        if not is_writable(self.out):
            raise OfhkitError(f"--out {out}: nothing can be written there; name another folder")

    @property
    def failed(self) -> int:
        """How many pictures failed."""
        return self.count("failed")

    def count(self, status: str) -> int:
        """How many pictures are restored, untouched or failed."""
        return sum(row["status"] == status for row in self.rows)

    def write(self, outcome: Outcome, name: str) -> Outcome:
        """Write what there is of a picture and note its status; what cannot be written whole has failed.

        Returns:
            The outcome, with the error that writing it may have added.
        """
        row = {"input": str(outcome.picture.path or outcome.picture.name), "name": name}
        if outcome.image is not None:
            try:
                written = self._save_all(outcome, name)
                if not (self.credentials or outcome.untouched) and provenance.carries_credentials(outcome.picture.path):
                    outcome = replace(outcome, notes=(*outcome.notes, provenance.LOST))
                self.rows.append({**row, "notes": _notes(outcome), **written})
                return outcome
            except OfhkitError as error:  # a full disk, say
                outcome = replace(outcome, image=None, error=str(error))
        own = self._copy_of(outcome.picture, name)
        self._remove(*([own.name] if own is not None and not _same(own, outcome.picture.path) else []))
        self._remove(f"{name}.png", f"overlays/{name}.png", *self._numbered("faces", name, 1))
        for folder in ("uncertainty", "samples"):
            self._remove(*self._numbered(folder, name, 1))
        self._remove_copy(outcome.picture, name)
        self.rows.append({**row, "notes": _notes(outcome), "status": "failed", "error": outcome.error})
        return outcome

    def _save_all(self, outcome: Outcome, name: str) -> dict[str, Any]:
        """Write a picture and what goes with it; the rest of its row."""
        output = self._save_picture(outcome, name)
        faces, photo = outcome.faces, outcome.kind == "photo"
        matrices = np.array([f.matrix for f in faces if f.matrix is not None]).reshape(-1, 2, 3)
        overlay = draw_overlay(outcome.picture.rgb, outcome.mask.hidden, matrices)
        self._save(f"overlays/{name}.png", overlay)
        uncertainties = []
        for i, face in enumerate(faces, 1):
            if photo:
                self._save(f"faces/{name}_{i}.png", face.sr if face.filled is None else face.filled)
            if face.samples is not None:
                sheet = contact_sheet(np.concatenate([face.sr[None], face.samples]), columns=4)
                self._save(f"samples/{name}_{i}.png", sheet)
            if face.uncertainty is not None:
                self._save(f"uncertainty/{name}_{i}.png", draw_uncertainty(face.uncertainty, face.invented))
                inside = face.uncertainty[face.invented] if face.invented.any() else face.uncertainty
                uncertainties.append(float(inside.mean()))
        self._remove(*self._numbered("faces", name, len(faces) + 1 if photo else 1))
        self._remove(*self._numbered("uncertainty", name, len(uncertainties) + 1))
        self._remove(*self._numbered("samples", name, sum(f.samples is not None for f in faces) + 1))
        return {
            "status": "untouched" if outcome.untouched else "restored",
            "kind": outcome.kind,
            "faces": len(faces),
            "hidden_of_256": " ".join(str(int(f.mask.sum())) for f in faces),
            "consistency_db": " ".join(f"{f.consistency:.2f}" for f in faces),
            "uncertainty_in_hole": " ".join(f"{s:.4f}" for s in uncertainties),
            "output": output,
        }

    def save_table(self) -> Path:
        """Write ``results.csv``: one line a picture."""
        text = io.StringIO()
        table = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows({key: csv_cell(value) for key, value in row.items()} for row in self.rows)
        return self._write("results.csv", text.getvalue().encode("utf-8", "backslashreplace"))

    def _save_picture(self, outcome: Outcome, name: str) -> str:
        """Write the picture itself, and return its file's name; one that is untouched and whole is copied."""
        picture, output = outcome.picture, f"{name}.png"
        if outcome.untouched and picture.frame is None and (copy := self._copy_of(picture, name)):
            with open_regular(picture.path) as file:
                self._write(copy.name, lambda out: shutil.copyfileobj(file, out))
            if copy.name != output:
                self._remove(output)
            return copy.name
        self._remove_copy(picture, name)
        if not outcome.untouched and outcome.pixels is not None and (own := self._as_it_came(outcome, name)):
            self._remove(output)
            return own
        if outcome.untouched:
            self._write(output, png(picture.pixels, self.info, picture.profile, Comment="not restored: no hole"))
        elif outcome.pixels is not None:
            self._write(output, self._signed(png(outcome.pixels, self.info, picture.profile), ".png", picture))
        else:
            self._write(output, self._signed(png(outcome.image, self.info), ".png", picture))
        return output

    def _signed(self, content: bytes, suffix: str, picture: Picture) -> bytes:
        if not self.credentials:
            return content
        return provenance.sign(content, suffix, None if picture.frame else picture.path, self.info)

    def _as_it_came(self, outcome: Outcome, name: str) -> str | None:
        """Write a restored JPEG as a JPEG; None where it is none, or a frame of a file with several."""
        picture = outcome.picture
        own = None if picture.frame is not None else self._copy_of(picture, name)
        if own is None or own.suffix not in jpeg.SUFFIXES:
            return None
        said = f"ofhkit {__version__}; {WARNING}; model {self.info.get('name', '')}"
        content = jpeg.jpeg_like(outcome.pixels, picture.path, said)
        return None if content is None else self._write(own.name, self._signed(content, ".jpg", picture)).name

    def _save(self, name: str, image: np.ndarray) -> None:
        self._write(name, png(image, self.info))

    def _write(self, name: str, content: bytes | Callable[[BinaryIO], None]) -> Path:
        try:
            return atomic_write(self.out / name, content)
        except OSError as error:
            raise OfhkitError(f"{self.out / name} cannot be written: {error.strerror or error}") from None

    def _numbered(self, folder: str, name: str, start: int) -> Iterator[str]:
        """Files of a folder that belong to the faces of a picture, from a face on."""
        files = (f"{folder}/{name}_{i}.png" for i in itertools.count(start))
        return itertools.takewhile(lambda file: (self.out / file).exists(), files)

    def _remove(self, *names: str) -> None:
        """Remove what an earlier run wrote; never a file that ofhkit did not write."""
        for path in (self.out / name for name in names):
            try:
                with open_regular(path) as file, Image.open(file, formats=["PNG", "JPEG"]) as image:
                    said = image.info.get("Software") or image.info.get("comment", b"").decode("ascii", "replace")
                    ours = str(said).startswith("ofhkit ")
            except (OfhkitError, OSError, SyntaxError, ValueError):
                continue
            if ours:
                path.unlink(missing_ok=True)

    def _remove_copy(self, picture: Picture, name: str) -> None:
        """Remove what an earlier run copied, as its contents show."""
        copy = self._copy_of(picture, name)
        with contextlib.suppress(OSError, ValueError):
            if copy and not copy.samefile(picture.path) and filecmp.cmp(copy, picture.path, shallow=False):
                copy.unlink()

    def _copy_of(self, picture: Picture, name: str) -> Path | None:
        """Where a picture is copied to if it stays as it is; None for what is no file with a picture's suffix."""
        suffix = picture.path.suffix.lower() if picture.path else ""
        return self.out / f"{name}{suffix}" if suffix in PICTURES else None


def _same(one: Path, other: Path | None) -> bool:
    return other is not None and one.exists() and other.exists() and one.samefile(other)


def _notes(outcome: Outcome) -> str:
    found = (f"hole: {', '.join(outcome.mask.found)}",) if outcome.mask and outcome.mask.found else ()
    return "; ".join((*found, *outcome.notes))
