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

__all__ = ["cubic_matrix", "downsample_cubic", "downsample_cubic_uint8", "upsample_bicubic"]

_FIXED_POINT = 2.0**22  # Pillow keeps its coefficients for uint8 in 22 fractional bits


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


def downsample_cubic(hr: Tensor, size: int = 16) -> Tensor:
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
            "divide uint8 images by 255, or use downsample_cubic_uint8"
        )
    with no_autocast(hr.device):
        dtype = measuring_dtype(hr)
        rows, columns = (_matrix(n, size, dtype, hr.device) for n in hr.shape[-2:])
        return (rows @ (hr.to(dtype) @ columns.mT)).to(hr.dtype)


def _matrix(size_in: int, size_out: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return constant(("cubic", size_in, size_out), lambda: cubic_matrix(size_in, size_out), dtype, device)


def downsample_cubic_uint8(hr: Tensor, size: int = 16, chunk: int = 32) -> Tensor:
    """Shrink uint8 images to the very bytes that Pillow's ``resize(BICUBIC)`` gives.

    Pillow rounds its coefficients to 22 bits and the image to whole grey levels between the two passes; both are done
    here in float64, where every product and sum is exact.

    Shape:
        hr (N, C, H, W) uint8. Output (N, C, size, size) uint8.

    Raises:
        OfhkitError: ``hr`` is not a batch of uint8 images.

    >>> downsample_cubic_uint8(torch.full((1, 3, 128, 128), 7, dtype=torch.uint8)).unique()
    tensor([7], dtype=torch.uint8)
    """
    if hr.ndim != 4 or hr.dtype != torch.uint8:
        raise OfhkitError(f"downsample_cubic_uint8 needs uint8 images (N, C, H, W), got {hr.dtype} {tuple(hr.shape)}")
    rows, columns = (_fixed_point_matrix(n, size, hr.device) for n in hr.shape[-2:])
    small = [_round(rows @ _round(part.double() @ columns.mT)).to(torch.uint8) for part in hr.split(chunk)]
    return torch.cat(small) if small else hr.new_empty((0, hr.shape[1], size, size))


def _fixed_point_matrix(size_in: int, size_out: int, device: torch.device) -> Tensor:
    def build() -> np.ndarray:
        scaled = cubic_matrix(size_in, size_out) * _FIXED_POINT
        return np.trunc(scaled + np.copysign(0.5, scaled)) / _FIXED_POINT

    return constant(("cubic22", size_in, size_out), build, torch.float64, device)


def _round(x: Tensor) -> Tensor:
    return x.add_(0.5).floor_().clamp_(0, 255)


def upsample_bicubic(lr: Tensor, scale: int = 8) -> Tensor:
    """Enlarge images by torch's bicubic (a = -0.75, no antialiasing); the result may leave [0, 1] slightly.

    Shape:
        lr (N, C, h, w) float. Output (N, C, h*scale, w*scale).

    >>> upsample_bicubic(torch.ones(2, 3, 16, 16)).shape
    torch.Size([2, 3, 128, 128])
    """
    return F.interpolate(lr, scale_factor=scale, mode="bicubic", align_corners=False, antialias=False)
