"""From an uploaded file, or an example, to a face that can be painted on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from ofhkit.data.picture_decoding import read_frames
from ofhkit.errors import OfhkitError, is_warning
from ofhkit.registry import HALLUCINATORS
from ofhkit.rendering.render import render_face
from ofhkit.restoration import Picture, Restorer
from ofhkit.restoration.page.uploads import MAX_BYTES
from ofhkit.restoration.pictures import VIDEOS
from ofhkit.runtime.files import asset

__all__ = ["EXAMPLES", "MAX_SIDE", "MEMORY", "Opened", "example_hole", "open_example", "open_file", "read_upload"]

MEMORY = 900_000_000  # bytes that all pictures that are worked on at a time may take
MAX_SIDE = 4000  # a larger picture is shrunk first, to keep the page quick
RENDERED = (15, 13, 19, 21, 25)
EXAMPLES = ("Astronaut", *(f"Rendered {i + 1}" for i in range(len(RENDERED))))
HOLES = (  # of the examples: how thick a line of which points
    (30, (40, 59), (92, 59)), (30, (46, 100), (84, 100)), (9, (14, 30), (58, 44), (70, 84), (116, 104)),
    (48, (64, 70)), (36, (32, 50), (32, 84)), (11, (20, 104), (44, 40), (66, 100), (88, 40), (106, 96)),
)  # fmt: skip


@dataclass(frozen=True)
class Opened:
    """A face before anything is hidden.

    Attributes:
        name: for file names.
        face: (128, 128, 3) uint8, or (16, 16, 3) for a tiny face.
        hidden: (16, 16) bool: what the picture itself leaves open (transparency).
        landmarks: (68, 2) exact, pixels of ``face``; None where nobody knows them.
        notes: what was done to the picture.
    """

    name: str
    face: np.ndarray
    hidden: np.ndarray
    landmarks: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @property
    def tiny(self) -> bool:
        """Whether there never was a large face."""
        return self.face.shape[0] == 16

    @property
    def has_truth(self) -> bool:
        """Whether results can be compared with what was there."""
        return not self.tiny and not self.hidden.any()


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
    none = np.zeros((16, 16), bool)
    if name == "Astronaut":
        face = cv2.imread(str(asset("astronaut_face.png")))[..., ::-1]
        return Opened("astronaut", np.ascontiguousarray(face), none, notes=("NASA portrait, public domain",))
    number = EXAMPLES.index(name)
    face, landmarks, _ = render_face(0, "test", RENDERED[number - 1])
    face = np.ascontiguousarray(face.transpose(1, 2, 0))
    return Opened(f"rendered_{number}", face, none, landmarks, ("rendered: this person does not exist",))


def example_hole(name: str) -> np.ndarray:
    """What is hidden of an example to begin with: (128, 128) bool.

    >>> int(example_hole('Astronaut').sum() / 64) < 63
    True
    """
    thickness, *points = HOLES[EXAMPLES.index(name)]
    line = np.array(points, np.int32)
    return cv2.polylines(np.zeros((128, 128), np.uint8), [line], False, 1, thickness).astype(bool)


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


def open_file(path: str | Path, memory: int = MEMORY) -> Opened:
    """Read a picture and find its face.

    Args:
        path: the file; errors name it by its name, and never the path.
        memory: bytes that this may take.

    Raises:
        OfhkitError: too large, not a picture, or no face in it; one sentence without the server's path.
    """
    label = Path(path).name
    picture = _shrink(read_upload(Path(path), label, memory))
    outcome = next(_finder().restore([picture]))
    if outcome.error:
        raise OfhkitError(f"{label}: {outcome.problem or outcome.error}; crop it square around one face")
    best = max(outcome.faces, key=lambda face: np.nan_to_num(face.score))
    notes = tuple(note for note in outcome.notes if not is_warning(note))
    if len(outcome.faces) > 1:
        notes += ("the clearest one is shown",)
    face = best.lr if best.seen is None else best.seen
    return Opened(Path(label).stem[:40] or "picture", face, best.mask, None, notes)


@lru_cache(maxsize=1)
def _finder() -> Restorer:
    """Finds, aligns and shrinks as :file:`ofhkit infer` does; its own network is the cheapest there is."""
    parts = dict(inpainter=dict(type="Telea"), upsampler=dict(type="Bicubic"))
    return Restorer(HALLUCINATORS.build(dict(type="FaceHallucinator", **parts)).eval())


def _shrink(picture: Picture) -> Picture:
    height, width = picture.rgb.shape[:2]
    factor = MAX_SIDE / max(height, width)
    if factor >= 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    alpha = None if picture.alpha is None else cv2.resize(picture.alpha, size, interpolation=cv2.INTER_AREA)
    rgb = cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA)
    return replace(picture, rgb=rgb, alpha=alpha, deep=None)
