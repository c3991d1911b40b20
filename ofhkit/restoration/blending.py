"""Filling a photograph's hole from a completed crop so that no border shows; not a pixel outside the hole changes.

Reference: P. Pérez, M. Gangnet, A. Blake, "Poisson image editing", SIGGRAPH 2003: what is pasted is the source plus a
smooth correction that takes the value of the seam along it.

Differs from the paper: the correction fades within a few pixels of the crop, for the completion's own colors already
follow from the pixels round the hole; and grain as strong as the face's own is added, for a mean face has none.
"""

from __future__ import annotations

import cv2
import numpy as np

from ofhkit.restoration.composition import in_the_form_of, place

__all__ = ["fill_hole", "membrane"]

REACH = 10  # crop pixels over which the correction of the seam fades
RING = 2  # crop pixels beside the hole that it is read from
MAX_GRAIN = 6.0  # grey levels


def fill_hole(pixels: np.ndarray, completed: np.ndarray, matrix: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fill the part of a hole that belongs to a face; what was transparent there becomes opaque.

    Where the hole reaches beyond the crop it is filled smoothly from the pixels round it.

    Shape:
        pixels (H, W, 1 to 4) uint8 or uint16; completed (128, 128, 3) uint8; matrix (2, 3) picture -> crop; hole
        (H, W) bool -> as pixels
    """
    placed = place(completed, matrix, *hole.shape)
    if placed is None or not hole[placed[0]].any():
        return pixels
    part, face, weight, factor = placed
    hole = _touching(hole, part)
    region = _around(hole, round(4 * RING * factor) + 4)
    hole = hole[region]
    full = np.zeros((*hole.shape, 3), np.uint8)
    strength = np.zeros(hole.shape, np.float32)
    inner, outer = _overlap(part, region)
    full[outer], strength[outer] = face[inner], weight[inner]
    step = max(1, int(factor / 2))  # a large face's completion has no finer detail
    size = (-(-hole.shape[1] // step), -(-hole.shape[0] // step))
    most = np.iinfo(pixels.dtype).max
    before = pixels[region]
    small = _shrink(before, size)
    face, strength = _shrink(in_the_form_of(pixels, full), size), _shrink(strength, size)[..., None]
    hidden = _shrink(hole.astype(np.float32), size) > 0
    base = membrane(small, ~hidden)
    fill = base + strength * (face - base)
    distance = cv2.distanceTransform(hidden.astype(np.uint8), cv2.DIST_L2, 5) * step / factor
    ring = ~hidden & (cv2.distanceTransform((~hidden).astype(np.uint8), cv2.DIST_L2, 5) * step <= max(RING * factor, 2))
    near = np.clip(1 - (distance - step / factor) / REACH, 0, 1)[..., None]
    fade = near * near * (3 - 2 * near)
    fill += fade * membrane(np.where(hidden[..., None], 0, small - fill), ring)
    fill = cv2.resize(fill, hole.shape[::-1], interpolation=cv2.INTER_LINEAR).reshape(before.shape)
    colors = slice(None, None if before.shape[2] in (1, 3) else -1)
    fill[..., colors] += _grain(before[..., colors], hole, most)
    if before.shape[2] in (2, 4):
        fill[..., -1] = most
    out = pixels.copy()
    out[region][hole] = np.rint(np.clip(fill[hole], 0, most)).astype(pixels.dtype)
    return out


def membrane(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Spread known values smoothly over all others: each from the mean of ever larger neighbourhoods.

    Shape:
        values (H, W, C) float32, known (H, W) bool -> (H, W, C) float32

    >>> known = np.zeros((9, 9), bool); known[0] = True
    >>> bool(np.allclose(membrane(np.full((9, 9, 1), 7, np.float32), known), 7))
    True
    """
    height, width = known.shape
    weight = known.astype(np.float32)[..., None]
    return _spread(values.astype(np.float32) * weight, weight) if height and width else values


def _spread(sums: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Values from weighted sums: where the weight is below 1 the rest comes from half the resolution."""
    height, width = weight.shape[:2]
    if weight.min() >= 1 or max(height, width) == 1:
        return sums / np.maximum(weight, 1e-6)
    size = (-(-width // 2), -(-height // 2))
    edge = (0, 2 * size[1] - height, 0, 2 * size[0] - width)
    both = cv2.copyMakeBorder(np.dstack([sums, weight]), *edge, cv2.BORDER_CONSTANT)
    half = both.reshape(size[1], 2, size[0], 2, -1).sum((1, 3))
    scale = np.maximum(half[..., -1:], 1)
    coarse = _spread(half[..., :-1] / scale, half[..., -1:] / scale)
    coarse = cv2.resize(coarse, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_LINEAR)[:height, :width]
    out = sums + (1 - weight) * coarse.reshape(sums.shape)
    smooth = cv2.blur(out, (3, 3)).reshape(sums.shape)  # no block of the coarse one shows
    return sums + (1 - weight) * smooth


def _touching(hole: np.ndarray, part: tuple[slice, slice]) -> np.ndarray:
    """The pieces of a hole that reach into a part of the picture."""
    _, labels = cv2.connectedComponents(hole.astype(np.uint8), connectivity=8)
    return np.isin(labels, np.unique(labels[part][hole[part]])) & hole


def _around(hole: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The box that holds a hole and a margin."""
    sides = (np.flatnonzero(hole.any(axis)) for axis in (1, 0))
    return tuple(slice(max(int(at[0]) - margin, 0), int(at[-1]) + margin + 1) for at in sides)  # type: ignore[return-value]


def _overlap(part: tuple[slice, slice], region: tuple[slice, slice]) -> tuple[tuple, tuple]:
    """Where two boxes overlap, in the first and in the second one's own pixels."""
    spans = [(max(p.start, r.start), min(p.stop, r.stop)) for p, r in zip(part, region)]
    return tuple(
        tuple(slice(a - box.start, max(a, b) - box.start) for (a, b), box in zip(spans, boxes))
        for boxes in (part, region)
    )  # type: ignore[return-value]


def _shrink(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    small = image if image.shape[1::-1] == size else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small.reshape(*size[::-1], *image.shape[2:]).astype(np.float32)


def _grain(before: np.ndarray, hole: np.ndarray, most: int) -> np.ndarray:
    """Noise as strong as what lies beside the hole; the same every time, so that a video does not flicker."""
    near = cv2.dilate(hole.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool) & ~hole
    near &= cv2.erode((~hole).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    if near.sum() < 16:
        return np.zeros((*hole.shape, before.shape[2]), np.float32)
    lightness = before.mean(2, dtype=np.float32)
    fine = np.abs(cv2.filter2D(lightness, -1, np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6))
    strength = min(1.4826 * float(np.median(fine[near])), MAX_GRAIN * most / 255)
    noise = np.random.default_rng(0).standard_normal(hole.shape).astype(np.float32)
    return strength * noise[..., None].repeat(before.shape[2], 2)
