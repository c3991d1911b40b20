"""Similarity alignment of a face to a template of five points, and the resampling that goes with it.

Reference: S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns", TPAMI 1991.
Pixel coordinates have their origin at the centre of the top-left pixel.
"""

import math
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

from ofhkit.functional.task import HR_SIZE

if TYPE_CHECKING:  # torch is not imported here: light processes use this module
    from torch import Tensor

Points = TypeVar("Points", np.ndarray, "Tensor")

DEFAULT_TEMPLATE = ((39.0, 36.0), (88.0, 36.0), (63.5, 63.4), (41.6, 86.0), (85.4, 86.0))
"""Left eye, right eye, nose tip, left and right mouth corner in a 128x128 crop (left of the picture)."""


def similarity(source: Points, target: Points) -> Points:
    """Least-squares similarity (rotation, one scale, shift; no reflection) that takes ``source`` to ``target``.

    In the plane Umeyama's solution needs no SVD: with the centred points read as complex numbers s and t, rotation and
    scale are the one complex number sum(conj(s) t) / sum(|s|^2). Differentiable and batched.

    Shape:
        source, target (..., K, 2), K >= 2 -> (..., 2, 3); numpy (computed in float64) or torch.

    Raises:
        ValueError: all source points of one set coincide.

    >>> square = np.array([[0, 0], [1, 0], [1, 1], [0, 1.]])
    >>> similarity(square, 2 * square + 3).round(6).tolist()
    [[2.0, -0.0, 3.0], [0.0, 2.0, 3.0]]
    """
    if hasattr(source, "device") and not isinstance(source, np.ndarray):
        from torch import as_tensor, stack

        target = as_tensor(target, dtype=source.dtype, device=source.device)
    else:
        stack = np.stack
        source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    source_mean, target_mean = source.mean(-2), target.mean(-2)
    s, t = source - source_mean[..., None, :], target - target_mean[..., None, :]
    power = (s * s).sum((-2, -1))
    if not bool((power > 0).all()):
        raise ValueError("the source points of a similarity coincide")
    real = (s * t).sum((-2, -1)) / power
    imaginary = (s[..., 0] * t[..., 1] - s[..., 1] * t[..., 0]).sum(-1) / power
    x, y = source_mean[..., 0], source_mean[..., 1]
    return stack(
        [
            stack([real, -imaginary, target_mean[..., 0] - real * x + imaginary * y], -1),
            stack([imaginary, real, target_mean[..., 1] - imaginary * x - real * y], -1),
        ],
        -2,
    )


def transform_points(matrix: Points, points: Points) -> Points:
    """Apply affine maps to points: matrix (..., 2, 3), points (..., K, 2) -> (..., K, 2); numpy or torch.

    >>> transform_points(np.array([[2., 0, 1], [0, 2, 0]]), np.array([[1., 1]])).tolist()
    [[3.0, 2.0]]
    """
    return points @ matrix[..., :2].swapaxes(-1, -2) + matrix[..., None, :, 2]


def invert(matrix: np.ndarray) -> np.ndarray:
    """The similarity (or any affine map) that undoes ``matrix``: (..., 2, 3) -> (..., 2, 3).

    >>> invert(np.array([[2., 0, 4], [0, 2, 0]])).tolist()
    [[0.5, 0.0, -2.0], [0.0, 0.5, 0.0]]
    """
    linear = np.linalg.inv(matrix[..., :2])
    return np.concatenate([linear, -linear @ matrix[..., 2:] + 0.0], -1)


def crop_matrix(points: np.ndarray, template: np.ndarray = DEFAULT_TEMPLATE, size: int = HR_SIZE) -> np.ndarray:
    """Matrix from picture pixels to crop pixels for one face or many: points (..., 5, 2) -> (..., 2, 3).

    Args:
        points: five points in the picture.
        template: where they belong in a 128x128 crop; scaled along when ``size`` differs.
        size: side of the crop in pixels.

    Raises:
        ValueError: the points coincide.
    """
    template = (np.asarray(template, np.float64) + 0.5) * (size / HR_SIZE) - 0.5
    return similarity(np.asarray(points, np.float64), template)


def warp(image: np.ndarray, matrix: np.ndarray, size: int = HR_SIZE) -> np.ndarray:
    """Resample a picture into a crop: cubic at n x n samples a pixel, then their mean, reflected beyond the border.

    n is 2, or more where a crop pixel covers more than two picture pixels, so that large pictures do not alias.

    Shape:
        image (H, W, C) uint8, matrix (2, 3) picture -> crop, -> (size, size, C) uint8
    """
    source_per_crop_pixel = 1 / math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    n = min(max(2, math.ceil(source_per_crop_pixel)), max(2, 4096 // size))
    fine = matrix * n
    fine[:, 2] += (n - 1) / 2
    samples = cv2.warpAffine(
        image, fine, (n * size, n * size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    return cv2.resize(samples, (size, size), interpolation=cv2.INTER_AREA)


def outside_fraction(matrix: np.ndarray, height: int, width: int, size: int = HR_SIZE) -> float:
    """Share of the crop's pixels whose centres lie outside the picture.

    Shape:
        matrix (2, 3) picture -> crop, -> float in [0, 1]

    >>> outside_fraction(np.array([[1., 0, 64], [0, 1, 0]]), 128, 128)
    0.5
    """
    (a, b, x0), (c, d, y0) = invert(matrix)
    row = np.arange(size)
    x = a * row[None, :] + b * row[:, None] + x0
    y = c * row[None, :] + d * row[:, None] + y0
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return 1 - float(inside.mean())
