"""Rectangular holes: 1 = occluded, 0 = known (the polarity of LaMa and spandrel)."""

from functools import lru_cache

import torch
from torch import Tensor

from ofhkit.errors import OfhkitError
from ofhkit.functional.random import hash_integers
from ofhkit.functional.task import LR_SIZE, MAX_HOLE, MIN_HOLE


def rectangle_mask(top: Tensor, left: Tensor, height: Tensor, width: Tensor, size: int = LR_SIZE) -> Tensor:
    """Draw one filled rectangle an image.

    Args:
        top, left, height, width: (N,) integers in pixels.
        size: side of the square image.

    Returns:
        (N, 1, size, size) float32 of 0 and 1, on the device of ``top``.

    >>> rectangle_mask(*torch.tensor([[1], [2], [4], [5]])).sum().item()
    20.0
    """
    axis = torch.arange(size, device=top.device)
    rows = (axis >= top[:, None]) & (axis < (top + height)[:, None])
    columns = (axis >= left[:, None]) & (axis < (left + width)[:, None])
    return (rows[:, None, :, None] & columns[:, None, None, :]).float()


@lru_cache
def _sides(min_side: int, max_side: int, min_area: int, max_area: int) -> Tensor:
    sides = [
        (h, w)
        for h in range(min_side, max_side + 1)
        for w in range(min_side, max_side + 1)
        if min_area <= h * w <= max_area
    ]
    return torch.tensor(sides)


def random_rectangles(
    keys: Tensor,
    seed: int,
    size: int = LR_SIZE,
    min_side: int = 3,
    max_side: int = 16,
    min_area: int = MIN_HOLE,
    max_area: int = MAX_HOLE,
) -> Tensor:
    """Draw one random rectangular hole an image, a pure function of (seed, key).

    Uniform over all pairs of sides within the limits, then over all positions: the same distribution as drawing
    both sides uniformly until the area fits. The defaults are 1/16 < area < 1/4 of 16x16 (paper, 4.1).

    Args:
        keys: (N,) int64, one an image.
        seed: any non-negative integer.

    Returns:
        mask (N, 1, size, size) float32.

    Raises:
        OfhkitError: no rectangle keeps these limits.

    >>> area = random_rectangles(torch.arange(100), seed=0).sum((1, 2, 3))
    >>> bool(((area > 16) & (area < 64)).all())
    True
    """
    sides = _sides(min_side, min(max_side, size), min_area, max_area).to(keys.device)
    if len(sides) == 0:
        raise OfhkitError(
            f"no hole of {min_area} to {max_area} pixels with sides of {min_side} to {max_side} fits into "
            f"{size}x{size}: change min_area, max_area or min_side"
        )
    height, width = sides[hash_integers(len(sides), seed, keys, stream=1)].unbind(1)
    top = hash_integers(size + 1 - height, seed, keys, stream=2)
    left = hash_integers(size + 1 - width, seed, keys, stream=3)
    return rectangle_mask(top, left, height, width, size)
