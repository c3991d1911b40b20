"""Resampling between the high-resolution and the low-resolution face.

Down: antialiased cubic (a = -0.5, support 2 x scale, normalised), the filter of Pillow and of ``torch``'s
``interpolate(mode='bicubic', antialias=True)``, as two products with a small matrix, so that it runs batched on any
device. Up: ``torch``'s plain bicubic (a = -0.75).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ofhkit.errors import OfhkitError
from ofhkit.functional.precision import constant, measuring_dtype, no_autocast
from ofhkit.functional.task import LR_SIZE

__all__ = ["add_enlargement", "cubic_matrix", "downsample_cubic", "upsample_bicubic"]


@lru_cache(maxsize=32)
def cubic_matrix(size_in: int, size_out: int) -> np.ndarray:
    """Return the matrix of the antialiased cubic filter along one axis; every row sums to 1.

    Shape:
        Output (size_out, size_in) float64, read-only.

    >>> cubic_matrix(128, 16).shape
    (16, 128)
    """
    scale = size_in / size_out
    width = max(scale, 1.0)
    matrix = np.zeros((size_out, size_in))
    for row in range(size_out):
        centre = (row + 0.5) * scale
        first = max(int(centre - 2 * width + 0.5), 0)
        last = min(int(centre + 2 * width + 0.5), size_in)
        weights = _cubic((np.arange(first, last) - centre + 0.5) / width)
        matrix[row, first:last] = weights / weights.sum()
    matrix.setflags(write=False)
    return matrix


def _cubic(x: np.ndarray, a: float = -0.5) -> np.ndarray:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def downsample_cubic(hr: Tensor, size: int = LR_SIZE) -> Tensor:
    """Shrink float images with the antialiased cubic filter; the result may leave [0, 1] slightly: clamp it yourself.

    Shape:
        hr (N, C, H, W) float, any range. Output (N, C, size, size), the type of ``hr``.

    Raises:
        OfhkitError: ``hr`` is not a batch of float images.

    >>> downsample_cubic(torch.ones(2, 3, 128, 128)).shape
    torch.Size([2, 3, 16, 16])
    """
    if hr.ndim != 4 or not hr.is_floating_point():
        raise OfhkitError(
            f"downsample_cubic needs float images (N, C, H, W), got {hr.dtype} {tuple(hr.shape)}; "
            "divide uint8 images by 255"
        )
    with no_autocast(hr.device):
        dtype = measuring_dtype(hr)
        rows, columns = (_matrix(n, size, dtype, hr.device) for n in hr.shape[-2:])
        return (rows @ (hr.to(dtype) @ columns.mT)).to(hr.dtype)


def _matrix(size_in: int, size_out: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return constant(("cubic", size_in, size_out), lambda: cubic_matrix(size_in, size_out), dtype, device)


def upsample_bicubic(lr: Tensor, scale: int = 8) -> Tensor:
    """Enlarge images by torch's bicubic (a = -0.75, no antialiasing); the result may leave [0, 1] slightly.

    Shape:
        lr (N, C, h, w) float. Output (N, C, h*scale, w*scale).

    >>> upsample_bicubic(torch.ones(2, 3, 16, 16)).shape
    torch.Size([2, 3, 128, 128])
    """
    return F.interpolate(lr, scale_factor=scale, mode="bicubic", align_corners=False, antialias=False)


def add_enlargement(detail: Tensor, lr: Tensor) -> Tensor:
    """Return the bicubic enlargement of ``lr`` plus ``detail``, which (0, 1) is stretched to (-1, 1).

    Shape:
        detail (N, C, H, W), lr (N, C, H / scale, W / scale) -> (N, C, H, W).

    >>> add_enlargement(torch.full((1, 3, 8, 8), 0.5), torch.ones(1, 3, 4, 4)).unique()
    tensor([1.])
    """
    return 2 * detail - 1 + upsample_bicubic(lr, detail.shape[-1] // lr.shape[-1])
