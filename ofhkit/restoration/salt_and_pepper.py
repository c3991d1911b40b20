"""Scattered dropouts: so small that the pixels around tell what was there, so that no network has to guess it."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

__all__ = ["fill_salt_and_pepper", "strips"]

SMALLEST = 64  # side of a picture below which every pixel is the network's
SIZES = (3, 5, 9, 17, 33)  # of the neighbourhoods that are asked, one after the other
ROWS = 512  # that are worked on at a time, for the sake of memory


def strips(height: int, reach: int) -> Iterator[tuple[slice, slice, slice]]:
    """Rows of a picture in parts: a part with ``reach`` more rows around, the part, and where it lies in the former.

    >>> [tuple(part) for part in strips(700, 9)][1]
    (slice(503, 1033, None), slice(512, 1024, None), slice(9, 521, None))
    """
    for first in range(0, height, ROWS):
        top = max(0, first - reach)
        yield slice(top, first + ROWS + reach), slice(first, first + ROWS), slice(first - top, first - top + ROWS)


def fill_salt_and_pepper(rgb: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Fill what is thinner than three pixels from its neighbours.

    Shape:
        rgb (H, W, 3) uint8, mask (H, W) bool -> rgb with its spots filled, the mask without them, how many pixels

    >>> mask = np.zeros((90, 90), bool); mask[::7, ::7] = True; mask[20:50, 20:50] = True
    >>> _, left, count = fill_salt_and_pepper(np.full((90, 90, 3), 9, np.uint8), mask)
    >>> int(left.sum()), count == int(mask.sum()) - 900
    (900, True)
    """
    if min(mask.shape) < SMALLEST or not mask.any():
        return rgb, mask, 0
    solid = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    solid = (cv2.dilate(solid, np.ones((3, 3), np.uint8)) > 0) & mask
    spots = mask & ~solid
    if not spots.any():
        return rgb, mask, 0
    out, left = rgb.copy(), spots.copy()
    for around, part, inside in strips(len(rgb), SIZES[-1] // 2):
        known, missing = (~mask[around]).astype(np.float32), left[part]
        for size in SIZES:
            if not missing.any():
                break
            weight = cv2.GaussianBlur(known, (size, size), size / 4)[inside]
            ready = missing & (weight > 1e-3)
            for band in range(3) if ready.any() else ():
                sums = cv2.GaussianBlur(rgb[around, :, band] * known, (size, size), size / 4)[inside]
                out[part][ready, band] = np.rint(sums[ready] / weight[ready]).clip(0, 255).astype(np.uint8)
            missing &= ~ready
    return out, solid | left, int(spots.sum() - left.sum())
