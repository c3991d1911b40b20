"""A restored JPEG as a JPEG again: its own tables, sampling, EXIF and color profile, so that what was kept stays."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, JpegImagePlugin

from ofhkit.data.picture_checks import MEMORY, open_picture
from ofhkit.data.picture_decoding import orientation_of, turn_back
from ofhkit.errors import OfhkitError
from ofhkit.runtime.files import open_regular

__all__ = ["SUFFIXES", "jpeg_like"]

SUFFIXES = (".jfif", ".jpeg", ".jpg")
_HALVED = 2  # Pillow's number for color planes of half the width and height


def jpeg_like(pixels: np.ndarray, path: Path, comment: str) -> bytes | None:
    """Encode restored pixels as the JPEG file they came from was encoded.

    Quantised with the same tables in the same blocks, what did not change comes out as it was, but for rounding, and
    for blocks whose decoded lightness leaves [0, 255] and is cut there. The picture is turned as its file holds it, and
    EXIF says as before how it is to be shown.

    Returns:
        The file's bytes; None where ``path`` is no JPEG, or not one of grey or color pixels of that size.
    """
    if pixels.dtype != np.uint8 or pixels.shape[2] not in (1, 3):
        return None
    try:
        with open_regular(path) as file:
            image = open_picture(file, MEMORY)
            if image.format != "JPEG" or image.mode != {1: "L", 3: "RGB"}[pixels.shape[2]]:
                return None
            stored = turn_back(pixels, orientation_of(image))
            if stored.shape[1::-1] != image.size:
                return None
            keep = {key: image.info[key] for key in ("exif", "icc_profile", "dpi") if image.info.get(key)}
            tables, sampling = image.quantization, JpegImagePlugin.get_sampling(image)
            flat = Image.fromarray(np.ascontiguousarray(stored[..., 0] if stored.shape[2] == 1 else stored))
            if flat.mode == "RGB":
                flat = _as_stored(file, flat, (stored != np.asarray(image)).any(2), sampling)
    except (OfhkitError, OSError, SyntaxError, ValueError):
        return None
    options = {"subsampling": sampling} if sampling >= 0 and flat.mode == "YCbCr" else {}
    out = io.BytesIO()
    flat.save(out, "JPEG", qtables=tables, comment=comment, optimize=True, **options, **keep)
    return out.getvalue()


def _as_stored(file: BinaryIO, restored: Image.Image, changed: np.ndarray, sampling: int) -> Image.Image:
    """The restored picture as lightness and colors: where nothing changed, the planes that the file holds.

    By way of RGB they would be rounded and cut once more, and shrunk color planes smoothed.
    """

    def planes(size: tuple[int, int]) -> np.ndarray:
        image = open_picture(file, MEMORY)
        image.draft("YCbCr", size)
        return np.asarray(image)

    height, width = changed.shape
    before, after = planes(restored.size), np.array(restored.convert("YCbCr"))
    after[~changed] = before[~changed]
    if sampling == _HALVED and min(height, width) > 1:
        colors = planes((width // 2, height // 2))[..., 1:].repeat(2, 0).repeat(2, 1)[:height, :width]
        rows, columns = np.arange(0, height, 2), np.arange(0, width, 2)
        touched = np.logical_or.reduceat(np.logical_or.reduceat(changed, rows, 0), columns, 1)
        kept = ~touched.repeat(2, 0).repeat(2, 1)[:height, :width]
        after[kept, 1:] = colors[kept]
    return Image.fromarray(after, "YCbCr")
