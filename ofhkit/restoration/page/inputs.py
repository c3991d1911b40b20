"""From an uploaded file, or an example, to a face that can be painted on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from ofhkit.data.picture_decoding import read_frames
from ofhkit.errors import OfhkitError
from ofhkit.functional.task import HR_SIZE, LR_SIZE
from ofhkit.rendering.render import render_face
from ofhkit.restoration import Picture
from ofhkit.restoration.page.uploads import MAX_BYTES
from ofhkit.restoration.pictures import VIDEOS
from ofhkit.runtime.files import asset

__all__ = [
    "EXAMPLES", "MAX_SIDE", "MEMORY", "Opened", "Photo", "example_hole", "open_example", "read_photo", "read_upload",
]  # fmt: skip

MEMORY = 900_000_000  # bytes that all pictures that are worked on at a time may take
MAX_SIDE = 4000  # a larger picture is shrunk first, to keep the page quick
RENDERED = (15, 13, 19, 21, 25)
EXAMPLES = ("Astronaut", *(f"Rendered {i + 1}" for i in range(len(RENDERED))))
HOLES = (  # of the examples: how thick a line of which points
    (30, (40, 59), (92, 59)), (30, (46, 100), (84, 100)), (9, (14, 30), (58, 44), (70, 84), (116, 104)),
    (48, (64, 69), (64, 70)), (36, (32, 50), (32, 84)), (8, (24, 100), (44, 48), (66, 96), (88, 48), (100, 80)),
)  # fmt: skip


@dataclass(frozen=True)
class Photo:
    """Where a face was cut out of, and where its result is pasted back.

    Attributes:
        path: the uploaded file; it is read again when it is needed.
        label: what its owner calls it.
        matrices: from picture to crop, (2, 3) each, one a face; empty where none was found.
        index: which face.
    """

    path: Path
    label: str
    matrices: tuple[np.ndarray, ...]
    index: int = 0


@dataclass(frozen=True)
class Opened:
    """A face before anything is hidden.

    Attributes:
        name: for file names.
        face: (128, 128, 3) uint8, or (16, 16, 3) for a tiny face.
        hidden: (128, 128) bool: what the picture itself leaves open (transparency), or an example's hole.
        landmarks: (68, 2) exact, pixels of ``face``; None where nobody knows them.
        notes: what was done to the picture.
        photo: None where the picture is nothing but the face.
        view: (H, W, 3) uint8: the face with more detail, to paint on; the whole photograph where no face was found.
        faces: (128, 128, 3) uint8 each: what can be chosen from.
        holed: the picture itself has a hole, so that nobody knows what was there.
    """

    name: str
    face: np.ndarray
    hidden: np.ndarray
    landmarks: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    photo: Photo | None = None
    view: np.ndarray | None = None
    faces: tuple[np.ndarray, ...] = ()
    holed: bool = False

    @property
    def tiny(self) -> bool:
        """Whether there never was a large face."""
        return self.face.shape[0] == LR_SIZE

    @property
    def has_truth(self) -> bool:
        """Whether results can be compared with what was there."""
        return not self.tiny and not self.holed

    @property
    def lost(self) -> bool:
        """Whether no face was found, so that five points must say where it is."""
        return self.photo is not None and not self.photo.matrices


@lru_cache(maxsize=len(EXAMPLES))
def open_example(name: str) -> Opened:
    """Return an example: a public-domain portrait, or faces that were rendered, of nobody.

    Raises:
        OfhkitError: there is none of this name.

    >>> open_example('Astronaut').face.shape
    (128, 128, 3)
    """
    if name not in EXAMPLES:
        raise OfhkitError("there is no such example; choose one of the pictures shown")
    hole = example_hole(name)
    if name == "Astronaut":
        face = cv2.imread(str(asset("astronaut_face.png")))[..., ::-1]
        return Opened("astronaut", np.ascontiguousarray(face), hole, notes=("NASA portrait, public domain",))
    number = EXAMPLES.index(name)
    face, landmarks, _ = render_face(0, "test", RENDERED[number - 1])
    face = np.ascontiguousarray(face.transpose(1, 2, 0))
    return Opened(f"rendered_{number}", face, hole, landmarks, ("rendered: this person does not exist",))


def example_hole(name: str) -> np.ndarray:
    """What is hidden of an example to begin with: (128, 128) bool.

    >>> all(17 < example_hole(name).sum() / 64 < 63 for name in EXAMPLES)
    True
    """
    thickness, *points = HOLES[EXAMPLES.index(name)]
    line = np.array(points, np.int32)
    return cv2.polylines(np.zeros((HR_SIZE, HR_SIZE), np.uint8), [line], False, 1, thickness).astype(bool)


def read_upload(path: Path, label: str, memory: int) -> Picture:
    """Read an uploaded picture.

    Args:
        path: the file.
        label: what its owner calls it; errors name it so, and never the path.
        memory: bytes that reading and restoring it may take.

    Raises:
        OfhkitError: too large, not a picture, or a video; one sentence without the server's path.
    """
    if path.suffix.lower() in VIDEOS:
        raise OfhkitError(f"{label}: a video; this page takes pictures")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise OfhkitError(f"more than {MAX_BYTES // 2**20} MB; reduce it first")
        with path.open("rb") as file:
            picture = next(read_frames(file, path.stem, memory=memory))
    except OSError:
        raise OfhkitError(f"{label}: it is not here any more; choose it again") from None
    except OfhkitError as error:
        raise OfhkitError(f"{label}: {error}") from None
    return replace(picture, path=path)


def read_photo(path: Path, label: str, memory: int) -> Picture:
    """:func:`read_upload`, shrunk to :data:`MAX_SIDE`; always to the same pixels."""
    picture = read_upload(path, label, memory)
    height, width = picture.rgb.shape[:2]
    factor = MAX_SIDE / max(height, width)
    if factor >= 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    alpha = None if picture.alpha is None else cv2.resize(picture.alpha, size, interpolation=cv2.INTER_AREA)
    rgb = cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA)
    return replace(picture, rgb=rgb, alpha=alpha, deep=None)
