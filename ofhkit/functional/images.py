"""Pictures (uint8, channels last) and tensors (float, channels first): converted, saved as PNG, tiled."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ofhkit.runtime.files import atomic_write

__all__ = ["encode_png", "png_uri", "to_float", "to_uint8"]


def to_float(images: np.ndarray) -> Tensor:
    """Pictures (..., H, W, 3) uint8 -> tensor (..., 3, H, W) float32 in [0, 1].

    >>> to_float(np.full((2, 4, 4, 3), 255, np.uint8)).shape
    torch.Size([2, 3, 4, 4])
    """
    return torch.from_numpy(np.ascontiguousarray(images)).movedim(-1, -3).float() / 255


def to_uint8(images: Tensor) -> np.ndarray:
    """Tensor (..., 3, H, W) -> pictures (..., H, W, 3) uint8: clamped to [0, 1], rounded; NaN becomes black.

    >>> to_uint8(torch.tensor([0.0, 0.5, 2.0]).view(3, 1, 1)).tolist()
    [[[0, 128, 255]]]
    """
    scaled = images.detach().float().cpu().clamp(0, 1).nan_to_num(0).mul(255).round()
    return np.ascontiguousarray(scaled.to(torch.uint8).movedim(-3, -1).numpy())


def encode_png(image: np.ndarray) -> bytes:
    """A picture (H, W, 3) RGB or (H, W) grey, uint8, as the bytes of a PNG file."""
    done, data = cv2.imencode(".png", image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert done
    return data.tobytes()


def png_uri(image: np.ndarray) -> str:
    """A picture as a ``data:`` address.

    >>> png_uri(np.zeros((2, 2, 3), np.uint8))[:22]
    'data:image/png;base64,'
    """
    return "data:image/png;base64," + base64.b64encode(encode_png(image)).decode()


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


def contact_sheet(faces: np.ndarray, columns: int = 8) -> np.ndarray:
    """Tile faces row by row; empty cells are white.

    Shape:
        faces (N, H, W, 3) uint8 -> (rows * H, columns * W, 3) uint8

    >>> contact_sheet(np.zeros((5, 8, 8, 3), np.uint8), columns=4).shape
    (16, 32, 3)
    """
    count, height, width, bands = faces.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    cells = np.full((rows * columns, height, width, bands), 255, np.uint8)
    cells[:count] = faces
    cells = cells.reshape(rows, columns, height, width, bands).swapaxes(1, 2)
    return cells.reshape(rows * height, columns * width, bands)
