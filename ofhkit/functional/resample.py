"""Resampling between the high-resolution and the low-resolution face.

Down: antialiased cubic (a = -0.5, support 2 x scale, normalised), the filter of Pillow and of ``torch``'s
``interpolate(mode='bicubic', antialias=True)``, as two products with a small matrix, so that it runs batched on any
device. Up: ``torch``'s plain bicubic (a = -0.75).

:func:`project` and :func:`confine` change a large face so that it shrinks to a given small one. Shrinking is linear, R
y R' with the cubic matrix R; of all images that shrink to x, the one nearest to y is y + R+ (x - R y R') R+', with the
pseudo-inverse R+. It may leave [0, 1]; the nearest one inside is found by letting the corrections add up before they
are clamped (R. L. Dykstra, "An algorithm for restricted least squares regression", JASA 78(384), 1983).
"""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ofhkit.errors import OfhkitError
from ofhkit.functional.precision import constant, measuring_dtype, no_autocast
from ofhkit.functional.task import LR_SIZE

__all__ = ["add_enlargement", "confine", "cubic_matrix", "dither", "downsample_cubic", "project", "upsample_bicubic"]


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


def _cubic(x: np.ndarray) -> np.ndarray:
    x, a = np.abs(x), -0.5
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
        rows, columns = (_shrinking(n, size, dtype, hr.device) for n in hr.shape[-2:])
        return (rows @ (hr.to(dtype) @ columns.mT)).to(hr.dtype)


def _shrinking(size_in: int, size_out: int, dtype: torch.dtype, device: torch.device) -> Tensor:
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


ROUNDS = 60


def project(sr: Tensor, lr: Tensor) -> Tensor:
    """Return the image nearest to ``sr`` that shrinks to ``lr``; it may leave [0, 1].

    Shape:
        sr (N, C, H, W), lr (N, C, h, w), both float32 or float64. Output as ``sr``.

    >>> import torch
    >>> from ofhkit.functional.resample import downsample_cubic
    >>> lr = torch.rand(1, 3, 16, 16)
    >>> bool((downsample_cubic(project(torch.rand(1, 3, 128, 128), lr)) - lr).abs().max() < 1e-5)
    True
    """
    with no_autocast(sr.device):
        return sr + _correction(sr, lr, *_matrices(sr, lr))


def confine(sr: Tensor, lr: Tensor, rounds: int = ROUNDS) -> Tensor:
    """Return the image in [0, 1] nearest to ``sr`` that shrinks to ``lr``, as near as ``rounds`` corrections come.

    Not every small image has one: values at 0 or 1 beside others may ask for pixels beyond.

    Shape:
        as :func:`project`.
    """
    with no_autocast(sr.device):
        matrices = _matrices(sr, lr)
        last, ahead, pace = sr, sr, 1.0
        for _ in range(rounds):
            moved = ahead + _correction(ahead.clamp(0, 1), lr, *matrices)
            faster = (1 + (1 + 4 * pace**2) ** 0.5) / 2  # Nesterov's acceleration
            ahead, last, pace = moved + (pace - 1) / faster * (moved - last), moved, faster
        return last.clamp(0, 1)


def dither(sr: Tensor, levels: int = 255) -> Tensor:
    """Add a fixed pattern of up to half a level, so that rounding to the levels of a picture file errs both ways.

    In smooth places plain rounding errs in one direction, by up to half a level, and so does the face shrunk again.
    Reference: B. E. Bayer, "An optimum method for two-level rendition of continuous-tone pictures", ICC 1973.

    Shape:
        sr (N, C, H, W) in [0, 1]. Output as ``sr``.

    >>> import torch
    >>> (dither(torch.full((1, 1, 8, 8), 0.5)) * 255).round().mean().item()
    127.5
    """
    height, width = sr.shape[-2:]
    pattern = constant(("bayer", height, width), lambda: _bayer(height, width), sr.dtype, sr.device)
    return (sr + pattern / levels).clamp(0, 1)


def _bayer(height: int, width: int) -> np.ndarray:
    """Bayer's 8x8 pattern, repeated: 64 values between -1/2 and 1/2, with neighbours far apart."""
    order = np.zeros((1, 1))
    for _ in range(3):
        order = np.block([[4 * order, 4 * order + 2], [4 * order + 3, 4 * order + 1]])
    return np.tile((order + 0.5) / 64 - 0.5, (-(-height // 8), -(-width // 8)))[:height, :width]


def _correction(sr: Tensor, lr: Tensor, shrink: tuple[Tensor, Tensor], enlarge: tuple[Tensor, Tensor]) -> Tensor:
    left = lr - shrink[0] @ (sr @ shrink[1].mT)
    return enlarge[0] @ (left @ enlarge[1].mT)


def _matrices(sr: Tensor, lr: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """R and R+ for rows and columns."""
    sizes = list(zip(sr.shape[-2:], lr.shape[-2:]))
    shrink = [_shrinking(*n, sr.dtype, sr.device) for n in sizes]
    enlarge = [
        constant(("cubic+", *n), lambda n=n: np.linalg.pinv(cubic_matrix(*n)), sr.dtype, sr.device) for n in sizes
    ]
    return (shrink[0], shrink[1]), (enlarge[0], enlarge[1])
