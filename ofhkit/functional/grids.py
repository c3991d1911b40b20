"""Batches of faces as one labelled picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch.nn.functional as F
from torch import Tensor

from ofhkit.files import atomic_write
from ofhkit.functional.images import encode_png, to_uint8

_MARGIN, _TITLE, _LABEL = 4, 20, 84


def face_grid(columns: Mapping[str, Tensor], size: int = 128, rows: Sequence[str] = ()) -> np.ndarray:
    """Lay out batches side by side: one row a face, one titled column a batch; tiny faces as blocky pixels.

    Args:
        columns: title -> (N, 3, H, W) float RGB in [0, 1].
        size: side of each cell in pixels.
        rows: a label for every face, written on the left; none by default.

    Returns:
        (height, width, 3) uint8 RGB on white.

    >>> import torch
    >>> face_grid({'lr': torch.rand(2, 3, 16, 16), 'sr': torch.rand(2, 3, 128, 128)}).shape
    (288, 268, 3)
    """
    count = len(next(iter(columns.values())))
    step, margin = size + _MARGIN, _MARGIN + (_LABEL if rows else 0)
    canvas = np.full((_TITLE + count * step + _MARGIN, len(columns) * step + margin, 3), 255, np.uint8)
    for r, label in enumerate(rows):
        _write(canvas, label, (_MARGIN, _TITLE + r * step + size // 2))
    for c, (title, faces) in enumerate(columns.items()):
        left = margin + c * step
        _write(canvas, title, (left, _TITLE - 6))
        cells = F.interpolate(faces.detach().float().cpu(), size=(size, size), mode="nearest")
        for r, cell in enumerate(to_uint8(cells)):
            top = _TITLE + r * step
            canvas[top : top + size, left : left + size] = cell
    return canvas


def _write(canvas: np.ndarray, text: str, at: tuple[int, int]) -> None:
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)


def write_png(path: Path, image: np.ndarray) -> Path:
    """Write (H, W, 3) uint8 RGB as PNG, atomically."""
    return atomic_write(path, encode_png(image))
