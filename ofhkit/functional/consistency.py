"""Hold a large face to the small one: shrunk again, it is that very face.

Shrinking is linear, R y R' with the cubic matrix R. Of all images that shrink to x, the one nearest to y is
y + R+ (x - R y R') R+', with the pseudo-inverse R+. It may leave [0, 1]; the nearest one inside is found by letting the
corrections add up before they are clamped (Dykstra's idea: alternating projections onto two convex sets).

Reference: R. L. Dykstra, "An algorithm for restricted least squares regression", JASA 78(384), 1983.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ofhkit.functional.precision import constant, no_autocast
from ofhkit.functional.resample import cubic_matrix

__all__ = ["confine", "dither", "project"]

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
    shrink = [constant(("cubic", *n), lambda n=n: cubic_matrix(*n), sr.dtype, sr.device) for n in sizes]
    enlarge = [
        constant(("cubic+", *n), lambda n=n: np.linalg.pinv(cubic_matrix(*n)), sr.dtype, sr.device) for n in sizes
    ]
    return (shrink[0], shrink[1]), (enlarge[0], enlarge[1])
