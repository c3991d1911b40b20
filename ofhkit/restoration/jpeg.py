"""A restored JPEG as a JPEG again: its own tables, sampling, EXIF and color profile, so that what was kept stays."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, JpegImagePlugin

from ofhkit.data.picture_checks import MEMORY, open_picture
from ofhkit.data.picture_decoding import orientation_of, turn_back
from ofhkit.errors import OfhkitError
from ofhkit.runtime.files import open_regular

__all__ = ["SUFFIXES", "jpeg_like"]

SUFFIXES = (".jfif", ".jpeg", ".jpg")


def jpeg_like(pixels: np.ndarray, path: Path, comment: str) -> bytes | None:
    """Encode restored pixels as the JPEG file they came from was encoded.

    Quantised with the same tables in the same blocks, what did not change comes out as it was, but for rounding (and
    where a decoder smooths shrunk color planes or colors leave what RGB holds). The picture is turned as its file holds
    it, and EXIF says as before how it is to be shown.

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
    except (OfhkitError, OSError, SyntaxError, ValueError):
        return None
    flat = Image.fromarray(np.ascontiguousarray(stored[..., 0] if stored.shape[2] == 1 else stored))
    options = {"subsampling": sampling} if sampling >= 0 and flat.mode == "RGB" else {}
    out = io.BytesIO()
    flat.save(out, "JPEG", qtables=tables, comment=comment, optimize=True, **options, **keep)
    return out.getvalue()
