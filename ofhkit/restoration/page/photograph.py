"""A photograph on the page: its faces, found or shown by five points; mask files; the result pasted back."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from torch import nn

from ofhkit.errors import OfhkitError, is_warning
from ofhkit.functional.alignment import crop_matrix, invert, warp
from ofhkit.functional.images import to_uint8
from ofhkit.functional.task import HR_SIZE, SCALE
from ofhkit.models.inference import run_batches
from ofhkit.models.pipeline import FaceHallucinator
from ofhkit.registry import HALLUCINATORS
from ofhkit.restoration import MaskOptions, Picture, Restorer
from ofhkit.restoration.blending import fill_hole
from ofhkit.restoration.completion import complete_crop
from ofhkit.restoration.faces import crop_and_downsample
from ofhkit.restoration.masks import read_mask
from ofhkit.restoration.page.inputs import MEMORY, Opened, Photo, read_photo, read_upload
from ofhkit.restoration.restorer import UNTOUCHED
from ofhkit.zoo import completer_for

__all__ = ["add_mask", "choose_face", "completer_of", "open_file", "paste", "place_face"]

DETAIL = 4  # pixels of the view to one of the face


def open_file(path: str | Path, name: str | None = None, memory: int = MEMORY) -> Opened:
    """Read a picture and find its faces; where none is found, five points are to say where it is.

    Args:
        path: the file.
        name: what the user calls it; errors name it so, and never the path.
        memory: bytes that this may take.

    Raises:
        OfhkitError: too large, not a picture, or nothing to go by; one sentence without the server's path.
    """
    label = Path(name or path).name
    picture = read_photo(Path(path), label, memory)
    outcome = next(_finder().restore([picture]))
    short = Path(label).stem[:40] or "picture"
    photo = Photo(Path(path), label, ())
    if outcome.error and "no face was found" in outcome.error:
        none = np.zeros((HR_SIZE, HR_SIZE), bool)
        return Opened(
            short, _within(picture.rgb), none, notes=("no face was found",), photo=photo, view=_within(picture.rgb)
        )
    if outcome.error:
        raise OfhkitError(f"{label}: {outcome.problem or outcome.error}")
    notes = tuple(note for note in outcome.notes if note != UNTOUCHED and not is_warning(note))
    if outcome.kind == "photo":
        found = sorted(outcome.faces, key=lambda face: -np.nan_to_num(face.score))
        opened = see_face(picture, replace(photo, matrices=tuple(face.matrix for face in found)), notes)
        return replace(opened, faces=tuple(face.seen for face in found))
    [face] = outcome.faces
    if outcome.kind == "tiny":
        return Opened(short, face.lr, face.mask.repeat(SCALE, 0).repeat(SCALE, 1), None, notes)
    hidden = outcome.mask.hidden
    seen = crop_and_downsample(picture.rgb, hidden, face.matrix)
    return Opened(short, seen.crop, seen.hidden, None, notes, view=_within(picture.rgb), holed=bool(hidden.any()))


def see_face(picture: Picture, photo: Photo, notes: tuple[str, ...] = ()) -> Opened:
    """Cut one of a photograph's faces out."""
    matrix, hidden = photo.matrices[photo.index], read_mask(picture, MaskOptions()).hidden
    seen = crop_and_downsample(picture.rgb, hidden, matrix)
    fine = matrix * DETAIL
    fine[:, 2] += (DETAIL - 1) / 2
    view = warp(picture.rgb, fine, DETAIL * HR_SIZE)
    return Opened(
        Path(photo.label).stem[:40] or "picture",
        seen.crop,
        seen.hidden,
        None,
        notes,
        photo,
        view,
        (),
        bool(hidden.any()),
    )


def choose_face(opened: Opened, index: int, memory: int = MEMORY) -> Opened:
    """Another face of the same photograph.

    Raises:
        OfhkitError: there is none of this number, or the file is not here any more.
    """
    photo = opened.photo
    if photo is None or not 0 <= index < len(photo.matrices):
        raise OfhkitError("there is no such face; choose one of those shown")
    return see_face(read_photo(photo.path, photo.label, memory), replace(photo, index=index), opened.notes)


def place_face(opened: Opened, points: np.ndarray, memory: int = MEMORY) -> Opened:
    """The face whose five points were clicked, where none was found.

    Args:
        points: (5, 2) as fractions of the photograph's width and height: eyes, nose, corners of the mouth, as seen.

    Raises:
        OfhkitError: the points make no face, or the file is not here any more.
    """
    if opened.photo is None:
        raise OfhkitError("open a photograph first")
    picture = read_photo(opened.photo.path, opened.photo.label, memory)
    height, width = picture.rgb.shape[:2]
    points = points * (width, height) - 0.5
    (a, b), (c, d) = points[1] - points[0], points[3:].mean(0) - points[:2].mean(0)  # between the eyes; to the mouth
    if np.hypot(a, b) < 2 or not 0.3 < (a * d - b * c) / (a * a + b * b) < 4:
        raise OfhkitError("these five points make no face: eye, eye, nose, and both corners of the mouth, left first")
    photo = replace(opened.photo, matrices=(crop_matrix(points),))
    return see_face(picture, photo, ("the face is where you clicked",))


def add_mask(opened: Opened, painted: np.ndarray, path: Path, label: str, memory: int = MEMORY) -> np.ndarray:
    """What is painted and, besides, what a mask file hides: of the photograph, or of the face alone.

    Shape:
        painted (128, 128) bool -> (128, 128) bool

    Raises:
        OfhkitError: the file is no mask, or hides nothing of the face.
    """
    read_upload(path, label, memory)
    picture, matrix = Picture(opened.name, opened.face), None
    if opened.photo is not None and not opened.lost:
        picture = read_photo(opened.photo.path, opened.photo.label, memory)
        matrix = opened.photo.matrices[opened.photo.index]
    try:
        hidden = read_mask(picture, MaskOptions(mask=path)).hidden
    except OfhkitError as error:
        raise OfhkitError(str(error).replace(str(path), label)) from None
    if matrix is None:
        side = HR_SIZE // hidden.shape[0]
        hidden = hidden.repeat(side, 0).repeat(side, 1)
    else:
        hidden = crop_and_downsample(picture.rgb, hidden, matrix).hidden
    if not hidden.any():
        raise OfhkitError(f"{label}: it hides nothing of this face; bright or opaque parts of a mask hide")
    return painted | hidden


def paste(opened: Opened, hidden: np.ndarray, model: FaceHallucinator, memory: int = MEMORY) -> tuple[np.ndarray, ...]:
    """The photograph before and after what is hidden of the face was filled; empty where there is none to fill.

    Raises:
        OfhkitError: the file is not here any more.
    """
    if opened.photo is None or opened.lost or not hidden.any():
        return ()
    picture = read_photo(opened.photo.path, opened.photo.label, memory)
    matrix, own = opened.photo.matrices[opened.photo.index], read_mask(picture, MaskOptions()).hidden
    size, back = own.shape[::-1], invert(matrix)
    wide = cv2.dilate(hidden.astype(np.uint8), np.ones((9, 9), np.uint8))
    painted, near = (cv2.warpAffine(np.uint8(255) * mask, back, size) > 127 for mask in (hidden.astype(np.uint8), wide))
    hole = painted | (own & near)
    seen, completer = crop_and_downsample(picture.rgb, hole, matrix), completer_of(model)
    if completer is None:
        crop = to_uint8(run_batches(model, seen.lr[None], seen.mask[None]).sr[0])
    else:
        crop = to_uint8(complete_crop(seen.crop, seen.hidden, completer, model))
    return picture.rgb, fill_hole(picture.rgb, crop, matrix, hole)


@lru_cache
def completer_of(model: FaceHallucinator) -> nn.Module | None:
    """The inpainter of 128x128 faces that belongs to a model, loaded once."""
    return completer_for(model, "cpu")


@lru_cache(maxsize=1)
def _finder() -> Restorer:
    """Finds, aligns and shrinks as :file:`ofhkit infer` does; its own network is the cheapest there is."""
    parts = dict(inpainter=dict(type="Telea"), upsampler=dict(type="Bicubic"))
    return Restorer(HALLUCINATORS.build(dict(type="FaceHallucinator", **parts)).eval())


def _within(rgb: np.ndarray, side: int = DETAIL * HR_SIZE) -> np.ndarray:
    factor = side / max(rgb.shape[:2])
    if factor >= 1:
        return rgb
    size = [max(1, round(factor * n)) for n in rgb.shape[1::-1]]
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
