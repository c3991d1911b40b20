"""What is hidden, in any form that people say it, as one mask in the picture's own pixels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ofhkit.errors import OfhkitError
from ofhkit.restoration.automatic import find_damage
from ofhkit.restoration.pictures import PICTURES, Picture, read_pictures

__all__ = ["Box", "Color", "Mask", "MaskOptions", "parse_box", "parse_color", "read_mask"]

COVERED = 32  # of 255: an eighth, so that a soft edge counts as hidden where it shows
TOLERANCE = 12
Box = tuple[int, int, int, int]
Color = tuple[int, int, int, int]


@dataclass(frozen=True)
class MaskOptions:
    """What the user says is hidden; all that is said counts together.

    Args:
        mask: a mask file, a folder of them (by the picture's name), ``'auto'``, ``'none'``, or an array (H, W), nonzero
            = hidden. None: the picture's own transparency, where it has one.
        boxes: rectangles (x, y, width, height) in the picture's pixels.
        colors: marks painted in a color: (red, green, blue, tolerance).
        invert: the mask's dark parts are hidden.
    """

    mask: str | Path | np.ndarray | None = None
    boxes: Sequence[Box] = ()
    colors: Sequence[Color] = ()
    invert: bool = False

    @property
    def said(self) -> bool:
        """Whether the user said where a hole is, so that one beside all faces is a mistake."""
        named = isinstance(self.mask, np.ndarray) or self.mask not in (None, "auto", "none")
        return named or bool(self.boxes or self.colors)


@dataclass(frozen=True)
class Mask:
    """What is hidden of a picture.

    Attributes:
        hidden: (H, W) bool, True = occluded.
        found: what it was read from, in words.
    """

    hidden: np.ndarray
    found: tuple[str, ...] = field(default=())


def parse_box(text: str, option: str = "--box") -> Box:
    """Read ``x,y,w,h``.

    Raises:
        OfhkitError: not four whole numbers, or an empty box.

    >>> parse_box('4,5,6,7')
    (4, 5, 6, 7)
    """
    try:
        x, y, w, h = (int(part) for part in text.split(","))
    except ValueError:
        raise OfhkitError(f"{option} {text}: expected x,y,w,h in whole pixels, as in {option} 40,52,24,16") from None
    if w <= 0 or h <= 0:
        raise OfhkitError(f"{option} {text}: width and height must be positive")
    return x, y, w, h


def parse_color(text: str) -> Color:
    """Read ``R,G,B`` or ``R,G,B,tolerance``.

    Raises:
        OfhkitError: not three or four whole numbers from 0 to 255.

    >>> parse_color('255,0,0')
    (255, 0, 0, 12)
    """
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (3, 4) or not all(0 <= n <= 255 for n in numbers):
        raise OfhkitError(f"--color {text}: expected R,G,B or R,G,B,tolerance, each 0 to 255, as in --color 255,0,0,40")
    red, green, blue, *rest = numbers
    return red, green, blue, rest[0] if rest else TOLERANCE


def read_mask(picture: Picture, options: MaskOptions) -> Mask:
    """Bring together what is said to be hidden of a picture.

    Raises:
        OfhkitError: a box outside the picture, no mask for it, or one that cannot be understood.
    """
    height, width = picture.rgb.shape[:2]
    hidden, found = np.zeros((height, width), bool), []

    def add(part: np.ndarray, text: str) -> None:
        nonlocal hidden
        hidden = hidden | part
        found.append(text)

    named = options.mask
    if picture.alpha is not None and not (isinstance(named, str) and named == "none"):
        add(picture.alpha < 255 - COVERED, "transparency")
    if isinstance(named, np.ndarray):
        add(_fit((named != 0) * np.float32(255), width, height) > 127, "the given mask")
    elif isinstance(named, str) and named == "auto":
        damage, texts = find_damage(picture.rgb)
        add(damage, "auto: " + (", ".join(texts) or "no damage seen"))
    elif named is not None and named != "none":
        add(*_from_file(picture, Path(named), options.invert))
    for x, y, w, h in options.boxes:
        part = np.zeros_like(hidden)
        part[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)] = True
        if not part.any():
            raise OfhkitError(f"{picture.name}: the box {x},{y},{w},{h} lies outside its {width}x{height} pixels")
        add(part, f"box {x},{y},{w},{h}")
    for color in options.colors:
        add(_painted(picture.rgb, color), "color " + ",".join(map(str, color[:3])))
    return Mask(hidden, tuple(found))


def _from_file(picture: Picture, path: Path, invert: bool) -> tuple[np.ndarray, str]:
    if path.is_dir():
        path = _of_folder(picture, path)
    reading = read_pictures(path)
    mask = next(reading)
    reading.close()
    covered, text = _read_mask(mask, picture.rgb)
    height, width = picture.rgb.shape[:2]
    if invert:
        covered, text = 255 - covered, f"{text}, inverted"
    if covered.shape != (height, width):
        text += f", resized from {covered.shape[1]}x{covered.shape[0]}"
        if abs(covered.shape[1] * height / (covered.shape[0] * width) - 1) > 0.02:
            text += " (another shape than the picture's: stretched)"
    hidden = _fit(covered, width, height) >= COVERED
    if not hidden.any():
        text += " (empty)"
    elif hidden.mean() > 0.6 and not invert:
        text += f" (hides {hidden.mean():.0%}: if dark means hidden, say --invert-mask)"
    return hidden, f"{path.name}: {text}"


def _of_folder(picture: Picture, folder: Path) -> Path:
    """The mask of a picture in a folder: of its name, with or without ``_mask``; frames share their film's."""
    names = [picture.name, f"{picture.name}_mask"]
    if picture.path is not None:
        names += [picture.path.stem, f"{picture.path.stem}_mask"]
    for name in names:
        for suffix in PICTURES:
            for candidate in (folder / f"{name}{suffix}", folder / f"{name}{suffix.upper()}"):
                if os.path.isfile(candidate):
                    return candidate
    raise OfhkitError(f"{picture.name}: {folder} holds no mask of that name, such as {picture.name}.png")


def _read_mask(mask: Picture, picture: np.ndarray) -> tuple[np.ndarray, str]:
    """How much each of the mask's pixels hides, 0 to 255, and how it was read."""
    if mask.alpha is not None:
        return mask.alpha.astype(np.float32), "its opaque parts"
    most, least = mask.rgb.max(2), mask.rgb.min(2)
    if (most - least).max() <= 24:  # grey, or as good as
        return (most > 0) * np.float32(255) if most.max() <= 8 else most.astype(np.float32), "bright parts"
    if mask.rgb.shape == picture.shape:
        change = cv2.absdiff(mask.rgb, picture).max(2)
        if np.median(change) <= 8:
            return (change > COVERED) * np.float32(255), "where it differs from the picture"
    if np.median(most) <= 8:
        return most.astype(np.float32), "marks on black"
    if np.median(least) >= 247:
        return 255 - least.astype(np.float32), "marks on white"
    raise OfhkitError(
        f"{mask.path}: a mask is grey, transparent, colored marks on black or white, or a painted copy of the picture "
        "in its own size; this is another colored picture"
    )


def _fit(values: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize to the picture: averages where it shrinks, repeats where it grows."""
    if values.shape == (height, width):
        return values
    shrinks = values.shape[0] > height or values.shape[1] > width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
    return cv2.resize(values.astype(np.float32), (width, height), interpolation=how)


def _painted(rgb: np.ndarray, color: Color) -> np.ndarray:
    """Pixels within the tolerance, and round them the soft edge, where the color fades into the picture."""
    distance = cv2.absdiff(rgb, (*color[:3], 0)).max(-1)
    core = (distance <= color[3]).astype(np.uint8)
    side = min(rgb.shape[:2])
    if side <= 64 or not core.any():
        return core.astype(bool)
    soft = (distance <= 3 * color[3] + 48).astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    for _ in range(max(2, side // 48)):
        core |= cv2.dilate(core, cross) & soft
    return cv2.dilate(core, cross).astype(bool)
