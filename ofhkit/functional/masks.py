"""Masks: 1 = occluded, 0 = known (the polarity of LaMa and spandrel), drawn at random, and pasted by.

Randomness is counter-based: a number is a pure function of its keys, the same on every device, rank and worker, where
torch's generators differ between CPU and CUDA and depend on what was drawn before. The mixing function is Wellons'
``lowbias32`` (public domain), applied once per key.
"""

from functools import lru_cache

import torch
from torch import Tensor

from ofhkit.errors import OfhkitError
from ofhkit.functional.task import LR_SIZE, MAX_HOLE, MIN_HOLE

_MASK = 0xFFFFFFFF


def _mix(x: Tensor) -> Tensor:
    x = (x ^ (x >> 16)) * 0x7FEB352D & _MASK
    x = (x ^ (x >> 15)) * 0x846CA68B & _MASK
    return x ^ (x >> 16)


def hash_uint32(seed: int, keys: Tensor, stream: int = 0) -> Tensor:
    """Hash ``(seed, stream, key)`` to 32 uniform bits.

    Args:
        seed: any non-negative integer.
        keys: (N,) int64, non-negative; for example image indices or sample numbers.
        stream: tells independent draws for one key apart (flip, height, column, …).

    Returns:
        (N,) int64 in [0, 2**32), on the device of ``keys``.

    >>> hash_uint32(0, torch.tensor([1, 2])).tolist() == hash_uint32(0, torch.tensor([1, 2])).tolist()
    True
    """
    h = torch.full_like(keys, seed & _MASK)
    h = _mix(h ^ (seed >> 32))
    h = _mix(h + stream + 0x9E3779B9 & _MASK)
    h = _mix(h ^ (keys & _MASK))
    return _mix(h + (keys >> 32) & _MASK)


def hash_integers(high: int | Tensor, seed: int, keys: Tensor, stream: int = 0) -> Tensor:
    """Draw integers uniform in [0, high); ``high`` may be a tensor (N,) of positive integers below 2**31.

    >>> bool((hash_integers(6, 0, torch.arange(1000)) < 6).all())
    True
    """
    return hash_uint32(seed, keys, stream) * high >> 32


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


def paste(known: Tensor, filled: Tensor, mask: Tensor) -> Tensor:
    """Keep the known pixels and take the others from ``filled`` (paper, Fig. 2).

    A selection, not a blend: pasted pixels are bit-equal to ``known`` in any precision.

    Args:
        known, filled: (N, C, H, W) of one dtype.
        mask: (N, 1, H, W), 1 = occluded.

    Returns:
        (N, C, H, W).

    >>> paste(torch.ones(1, 3, 1, 2), torch.zeros(1, 3, 1, 2), torch.tensor([[[[0.0, 1.0]]]]))[0, 0].tolist()
    [[1.0, 0.0]]
    """
    return torch.where(mask > 0.5, filled, known)
