"""Batches of faces as one labelled picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ofhkit.files import atomic_write

_MARGIN, _TITLE = 4, 20


def face_grid(columns: Mapping[str, Tensor], size: int = 128) -> np.ndarray:
    """Lay out batches side by side: one row a face, one titled column a batch; tiny faces as blocky pixels.

    Args:
        columns: title -> (N, 3, H, W) float RGB in [0, 1].
        size: side of each cell in pixels.

    Returns:
        (height, width, 3) uint8 RGB on white.

    >>> face_grid({'lr': torch.rand(2, 3, 16, 16), 'sr': torch.rand(2, 3, 128, 128)}).shape
    (288, 268, 3)
    """
    rows = len(next(iter(columns.values())))
    step = size + _MARGIN
    canvas = np.full((_TITLE + rows * step + _MARGIN, len(columns) * step + _MARGIN, 3), 255, np.uint8)
    for c, (title, faces) in enumerate(columns.items()):
        left = _MARGIN + c * step
        cv2.putText(canvas, title, (left, _TITLE - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        cells = F.interpolate(faces.detach().float().cpu(), size=(size, size), mode="nearest")
        cells = (cells.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        for r, cell in enumerate(cells):
            top = _TITLE + r * step
            canvas[top : top + size, left : left + size] = cell
    return canvas


def write_png(path: Path, image: np.ndarray) -> Path:
    """Write (H, W, 3) uint8 RGB as PNG, atomically."""
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert done
    return atomic_write(path, data.tobytes())
