"""From an open picture file to pixels: every mode that files come in becomes RGB and, where there is one, transparency.

Pillow decodes, because it refuses a JPEG that ends early; OpenCV fills the rest with grey. OpenCV reads what Pillow
cannot: color of 16 bits.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from ofhkit.data import picture_checks as checks
from ofhkit.errors import OfhkitError

__all__ = ["Picture", "orientation_of", "read_frames", "to_picture", "turn_back"]

ORIENTATION, TURNED = 0x0112, "turned upright as its EXIF says"
MAX_PROFILE = 4 * 2**20  # bytes of a color profile that is carried along
ROWS = 256  # that are converted at a time


@dataclass(frozen=True)
class Picture:
    """A picture as it is to be seen: upright, 8-bit RGB.

    Attributes:
        name: its file's name without suffix; a frame's number is appended.
        rgb: (H, W, 3) uint8.
        alpha: (H, W) uint8, 0 = transparent; None where everything is opaque.
        path: its file; None for an array.
        notes: what was done to it, in words.
        frame: its number in a file that holds several, from 1; None where it is the only one.
        grey: its file holds no color.
        deep: (H, W, 1 to 4) uint16, grey or RGB, then transparency: what a 16-bit file holds; None for any other.
        profile: the file's ICC color profile, where ``rgb`` is what it holds.
    """

    name: str
    rgb: np.ndarray
    alpha: np.ndarray | None = None
    path: Path | None = None
    notes: tuple[str, ...] = ()
    frame: int | None = None
    grey: bool = False
    deep: np.ndarray | None = None
    profile: bytes | None = None

    @property
    def pixels(self) -> np.ndarray:
        """(H, W, 1 to 4) uint8 or uint16: as in its file, upright: grey or RGB, then transparency if any."""
        if self.deep is not None:
            return self.deep
        color = self.rgb[..., :1] if self.grey else self.rgb
        return color if self.alpha is None else np.dstack([color, self.alpha])


def read_frames(file: BinaryIO, name: str, every: int = 1, memory: int = checks.MEMORY) -> Iterator[Picture]:
    """Read an open file: one picture, or all frames of an animation. The door that every picture comes through.

    Args:
        file: seekable.
        name: of the pictures; a frame's number is appended.
        every: take every n-th frame.
        memory: bytes that a picture may take, until its result is written.

    Raises:
        OfhkitError: not a picture, damaged, or too large; one sentence without the file's name.
    """
    try:
        image = checks.open_picture(file, memory)
        frames = checks.count_frames(image, memory)
        if frames == 1:
            picture = _decode(image, name, file, memory)
            image.close()  # it is as large as what was made of it
            yield picture
            return
        for number in range(0, frames, every):
            image.seek(number)
            checks.check_size(*image.size, memory, checks.FRAME_WEIGHT)
            yield replace(_decode(image, f"{name}_{number + 1:05d}", None, memory), frame=number + 1)
    except OfhkitError:
        raise
    except UnidentifiedImageError:
        if not checks.is_tiff(file):
            raise OfhkitError("not a picture in a format that is understood") from None
        yield _tiff(file, name, memory)
    except Exception as error:  # decoders of damaged files raise anything
        raise OfhkitError(f"damaged, it cannot be decoded ({_reason(error)})") from None


def to_picture(image: np.ndarray, name: str = "picture") -> Picture:
    """Take an array (H, W), (H, W, 3) RGB or (H, W, 4) RGBA of uint8 as a picture.

    Raises:
        OfhkitError: another shape or type.

    >>> to_picture(np.zeros((4, 5), np.uint8)).rgb.shape
    (4, 5, 3)
    """
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None].repeat(3, -1)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4) or not image.size:
        raise OfhkitError(f"{name}: expected uint8 (H, W), (H, W, 3) or (H, W, 4), got {image.shape} of {image.dtype}")
    return Picture(name, np.ascontiguousarray(image[..., :3]), _alpha(image[..., 3]) if image.shape[2] == 4 else None)


def _decode(image: Image.Image, name: str, file: BinaryIO | None, memory: int) -> Picture:
    """The current frame; color of 16 bits by OpenCV, for Pillow keeps only eight of them."""
    deep = any(";16" in str(tile[3]) for tile in image.tile) and not image.mode.startswith("I")
    if deep and file is not None:
        checks.check_size(*image.size, memory, 2)
    image.load()
    orientation = orientation_of(image)
    notes = [] if orientation == 1 else [TURNED]
    if deep and file is not None:
        return _by_opencv(file, name, orientation, notes)
    if image.mode == "F" or image.mode.startswith("I"):
        return _of_numbers(_upright(np.asarray(image), orientation), name, notes)
    mode, profile = image.mode, image.info.get("icc_profile")
    if mode not in ("L", "LA", "P", "RGB", "RGBA") or len(profile or b"") > MAX_PROFILE:
        profile = None
    if image.has_transparency_data:
        rgba = _upright(np.asarray(image.convert("RGBA")), orientation)
        rgb, alpha = np.ascontiguousarray(rgba[..., :3]), _alpha(rgba[..., 3])
    else:
        if mode in ("CMYK", "LAB", "YCbCr", "HSV"):
            notes.append(f"converted from {mode}")
            image = _to_srgb(image)
        image = image if image.mode == "RGB" else image.convert("RGB")
        rgb, alpha = np.ascontiguousarray(_upright(np.array(image), orientation)), None
    return Picture(name, rgb, alpha, notes=tuple(notes), grey=mode in ("1", "L", "LA"), profile=profile)


def orientation_of(image: Image.Image) -> int:
    """What EXIF says of the picture's top, 1 to 8; 1 where it says nothing that can be read."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # it is damaged, and the pixels are not
        return 1
    return value if value in range(1, 9) else 1


def _upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Undo what EXIF's orientation says."""
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image


def turn_back(image: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an upright picture as a file holds it whose EXIF has this orientation.

    >>> upright = np.arange(6).reshape(2, 3)
    >>> all((_upright(turn_back(upright, n), n) == upright).all() for n in range(1, 9))
    True
    """
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else image


def _to_srgb(image: Image.Image) -> Image.Image:
    """By the color profile that the file carries; as it is where there is none, or none that can be used."""
    profile = image.info.get("icc_profile")
    if profile and image.mode == "CMYK":
        try:
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(image, source, target, outputMode="RGB") or image
        except (ImageCms.PyCMSError, OSError, ValueError):
            return image
    return image


def _alpha(alpha: np.ndarray) -> np.ndarray | None:
    return None if (alpha == 255).all() else np.ascontiguousarray(alpha)


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Grey or color of any type as uint8: integers by the bits they use, floats as [0, 1] or else [0, 255]."""
    if values.dtype == np.uint8:
        return values
    least, most = float(values.min()), float(values.max())
    if not (least >= 0 and most <= 65535):  # NaN is neither
        raise OfhkitError("its values are neither 8-bit, 16-bit nor in [0, 1]; convert it to 8 or 16 bits first")
    parts = [slice(first, first + ROWS) for first in range(0, len(values), ROWS)]  # for the sake of memory
    fractions = most <= 1 and any((values[part] % 1).any() for part in parts)
    factor = 255.0 if fractions else (1 / 257 if most > 255 else 1.0)
    out = np.empty(values.shape, np.uint8)
    for part in parts:
        out[part] = np.rint(values[part].astype(np.float64) * factor)
    return out


def _of_numbers(values: np.ndarray, name: str, notes: Sequence[str]) -> Picture:
    """A picture of integers or floats, (H, W) grey or (H, W, 3) RGB or (H, W, 4) with transparency."""
    low = _eight_bits(values)
    deep = None
    if np.issubdtype(values.dtype, np.integer) and values.max() > 255:
        deep = np.ascontiguousarray(values.reshape(*values.shape[:2], -1), np.uint16)
    if low is not values:
        notes = (*notes, "reduced to 8 bits")
    return replace(to_picture(low, name), notes=tuple(notes), grey=values.ndim == 2, deep=deep)


def _tiff(file: BinaryIO, name: str, memory: int) -> Picture:
    """A TIFF that Pillow does not know."""
    try:
        checks.check_tiff(checks.read_tiff_tags(file), memory)
    except OfhkitError:
        raise
    except Exception as error:
        raise OfhkitError(f"damaged, it cannot be decoded ({_reason(error)})") from None
    return _by_opencv(file, name, 1, [])


def _by_opencv(file: BinaryIO, name: str, orientation: int, notes: Sequence[str]) -> Picture:
    """What Pillow does not read, or not whole: color of 16 bits."""
    file.seek(0)
    try:
        image = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, MemoryError):
        image = None
    if image is None:
        raise OfhkitError("damaged, or not a picture in a format that is understood")
    if image.ndim == 3:
        code = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}.get(image.shape[2])
        if code is None or image.dtype not in (np.uint8, np.uint16, np.float32):
            raise OfhkitError(f"its {image.shape[2]} bands of {image.dtype} are no picture; convert it to RGB first")
        cv2.cvtColor(image, code, dst=image)
    return _of_numbers(_upright(image, orientation), name, notes)


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
