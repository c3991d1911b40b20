"""Reading pictures: every mode that files come in becomes RGB and, where there is one, a transparency; or one sentence.

Pillow decodes, because it refuses a JPEG that ends early; OpenCV fills the rest with grey. OpenCV reads what Pillow
cannot: 16-bit colour TIFF and, through mmcv, videos.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import mmcv
import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ofhkit.errors import OfhkitError

__all__ = ["PICTURES", "VIDEOS", "Picture", "is_still", "read_pictures", "to_picture"]

PICTURES = (".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".mpo", ".pgm", ".png", ".pnm", ".ppm", ".tga",
            ".tif", ".tiff", ".webp")  # fmt: skip
VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
MOVING = {"AVIF", "GIF", "PNG", "TIFF", "WEBP"}  # formats whose frames are pictures, and not previews or layers
MAX_PIXELS, MAX_SIDE = 100_000_000, 32_000  # OpenCV resamples no longer sides
ORIENTATION, TURNED = 0x0112, "turned upright as its EXIF says"
_TIFF = (b"II*\0", b"MM\0*")


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
        grey: its file holds no colour.
        deep: (H, W, 1 to 4) uint16, grey or RGB, then transparency: what a 16-bit file holds; None for any other.
        profile: the file's ICC colour profile, where ``rgb`` is what it holds.
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
        colour = self.rgb[..., :1] if self.grey else self.rgb
        return colour if self.alpha is None else np.dstack([colour, self.alpha])


def read_pictures(path: str | Path, every: int = 1) -> Iterator[Picture]:
    """Read a file: one picture, or all frames of a video or an animation.

    Args:
        every: take every n-th frame.

    Raises:
        OfhkitError: no such file, empty, not a picture, damaged, or too large; one sentence with the file's name.
    """
    path = Path(path)
    if not path.is_file():
        raise OfhkitError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise OfhkitError(f"{path}: the file is empty")
    yield from (_video if path.suffix.lower() in VIDEOS else _still_or_animation)(path, every)


def is_still(path: str | Path) -> bool:
    """Whether a file holds no more than one picture, as its header says; so does one that cannot be read.

    >>> is_still("nowhere.png"), is_still("nowhere.mp4")
    (True, False)
    """
    if Path(path).suffix.lower() in VIDEOS:
        return False
    try:
        with Image.open(path) as image:
            return image.format not in MOVING or getattr(image, "n_frames", 1) == 1
    except Exception:  # as in reading: decoders of damaged files raise anything
        return True


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


def _video(path: Path, every: int) -> Iterator[Picture]:
    frames = mmcv.VideoReader(str(path))
    number = 0
    while (frame := frames.read()) is not None:
        number += 1
        if (number - 1) % every == 0:
            name = f"{path.stem}_{number:05d}"
            yield Picture(name, np.ascontiguousarray(frame[..., ::-1]), None, path, frame=number)
    if not number:
        raise OfhkitError(f"{path}: not a video that OpenCV can read")


def _still_or_animation(path: Path, every: int) -> Iterator[Picture]:
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            _check_size(path, *image.size)
            frames = getattr(image, "n_frames", 1) if image.format in MOVING else 1
            for number in range(0, frames, every):
                if frames > 1:
                    image.seek(number)
                picture = _decode(image, path, data)
                if frames > 1:
                    picture = replace(picture, name=f"{path.stem}_{number + 1:05d}", frame=number + 1)
                yield picture
    except OfhkitError as error:
        raise error if str(path) in str(error) else OfhkitError(f"{path}: {error}") from None
    except UnidentifiedImageError:
        if not data.startswith(_TIFF):
            raise OfhkitError(f"{path}: not a picture in a format that is understood") from None
        yield _by_opencv(path, data)
    except Image.DecompressionBombError:
        raise OfhkitError(f"{path}: more than {MAX_PIXELS:,} pixels; reduce it first") from None
    except Exception as error:  # decoders of damaged files raise anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise OfhkitError(f"{path}: damaged, it cannot be decoded ({reason})") from None


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise OfhkitError(f"{path}: {width}x{height} are more than {MAX_PIXELS:,} pixels; reduce it first")
    if max(width, height) > MAX_SIDE:
        raise OfhkitError(f"{path}: {width}x{height} has a side of more than {MAX_SIDE:,} pixels; cut it first")


def _decode(image: Image.Image, path: Path, data: bytes) -> Picture:
    """The current frame; colour of 16 bits by OpenCV, for Pillow keeps only eight of them."""
    if any(";16" in str(tile[3]) for tile in image.tile) and not image.mode.startswith("I"):
        return _by_opencv(path, data, image.getexif().get(ORIENTATION, 1))
    notes = []
    image.load()
    turned = ImageOps.exif_transpose(image)
    if image.getexif().get(ORIENTATION, 1) not in (0, 1):
        notes.append(TURNED)
    image, mode = turned, turned.mode
    if mode == "F" or mode.startswith("I"):
        return _of_numbers(np.asarray(image), path, notes)
    profile = image.info.get("icc_profile") if mode in ("L", "LA", "P", "RGB", "RGBA") else None
    more = dict(path=path, grey=mode in ("1", "L", "LA"), profile=profile)
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"))
        rgb, alpha = np.ascontiguousarray(rgba[..., :3]), _alpha(rgba[..., 3])
        return Picture(path.stem, rgb, alpha, notes=tuple(notes), **more)
    if mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        notes.append(f"converted from {mode}")
        image = _to_srgb(image)
    return Picture(path.stem, np.array(image.convert("RGB")), notes=tuple(notes), **more)


def _to_srgb(image: Image.Image) -> Image.Image:
    """By the colour profile that the file carries; as it is where there is none, or none that can be used."""
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
    """Grey or colour of any type as uint8: integers by the bits they use, floats as [0, 1] or else [0, 255]."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.uint16 and values.max() > 255:
        return np.rint(np.arange(65536) / 257).astype(np.uint8)[values]
    values = values.astype(np.float64)
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 65535:
        raise OfhkitError("its values are neither 8-bit, 16-bit nor in [0, 1]; convert it to 8 or 16 bits first")
    fractions = values.max() <= 1 and (values % 1).any()
    factor = 255.0 if fractions else (1 / 257 if values.max() > 255 else 1.0)
    return np.rint(values * factor).astype(np.uint8)


def _of_numbers(values: np.ndarray, path: Path, notes: Sequence[str]) -> Picture:
    """A picture of integers or floats, (H, W) grey or (H, W, 3) RGB or (H, W, 4) with transparency."""
    low = _eight_bits(values)
    deep = None
    if np.issubdtype(values.dtype, np.integer) and values.max() > 255:
        deep = np.ascontiguousarray(values.reshape(*values.shape[:2], -1), np.uint16)
    if low is not values:
        notes = (*notes, "reduced to 8 bits")
    return replace(to_picture(low, path.stem), path=path, notes=tuple(notes), grey=values.ndim == 2, deep=deep)


def _by_opencv(path: Path, data: bytes, orientation: int = 1) -> Picture:
    """What Pillow does not read, or not whole: colour of 16 bits."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except (cv2.error, MemoryError):
        image = None
    if image is None:
        raise OfhkitError(f"{path}: damaged, or not a picture in a format that is understood")
    _check_size(path, image.shape[1], image.shape[0])
    if image.ndim == 3:
        image = image[..., [2, 1, 0, 3][: image.shape[2]]]
    notes = [] if orientation in (0, 1) else [TURNED]
    try:
        return _of_numbers(_upright(image, orientation), path, notes)
    except OfhkitError as error:
        raise OfhkitError(f"{path}: {error}") from None


def _upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Undo what EXIF's orientation says."""
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image
