"""Scattered dropouts: so small that the pixels around tell what was there, so that no network has to guess it."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["fill_salt_and_pepper"]

SMALLEST = 64  # side of a picture below which every pixel is the network's


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
    known = (~mask).astype(np.float32)
    out, left = rgb.copy(), spots.copy()
    for size in (3, 5, 9, 17, 33):
        weight = cv2.GaussianBlur(known, (size, size), size / 4)
        ready = left & (weight > 1e-3)
        if ready.any():
            for band in range(3):  # one at a time, for the sake of memory
                mean = cv2.GaussianBlur(rgb[..., band] * known, (size, size), size / 4)[ready] / weight[ready]
                out[ready, band] = np.rint(mean).clip(0, 255).astype(np.uint8)
            left &= ~ready
        if not left.any():
            break
    return out, solid | left, int(spots.sum() - left.sum())
