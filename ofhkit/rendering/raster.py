"""Which triangle is seen at each pixel: an exact z-buffer without a loop over triangles.

Every triangle is cut into pixel rows and every row into pixels by ``numpy.repeat``; ``numpy.maximum.at`` keeps
the nearest. Everything is elementwise, so the result does not depend on the number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_EDGE = 1e-3  # pixels: neighbouring triangles overlap by this much, so that rounding leaves no pin-hole
_TINY = 1e-4  # square pixels: thinner triangles are not drawn


class Fragments(NamedTuple):
    """The front-most triangle of each pixel, as dense images.

    Shape:
        - triangle: (H, W) intp row of ``triangles``; 0 where nothing is seen
        - weights: (3, H, W) float32 barycentric weights; 0 where nothing is seen
        - depth: (H, W) float32 nearness (larger = nearer); -inf where nothing is seen
    """

    triangle: np.ndarray
    weights: np.ndarray
    depth: np.ndarray

    @property
    def covered(self) -> np.ndarray:
        """(H, W) bool: something is seen here."""
        return np.isfinite(self.depth)


def rasterise(xy: np.ndarray, near: np.ndarray, triangles: np.ndarray, size: int, facing: int = 1) -> Fragments:
    """Draw triangles; the nearest one wins at each pixel centre.

    Shape:
        - xy: (V, 2) float, pixels, x right, y down, origin = centre of the top-left pixel
        - near: (V,) float, larger = nearer to the camera
        - triangles: (T, 3) integer vertex ids, counter-clockwise seen from outside (with y up)
        - facing: 1 draws what faces the camera, -1 the backs, 0 both
        - output: images of ``size`` x ``size``
    """
    x, y = (np.ascontiguousarray(xy[:, k], np.float64)[triangles.T] for k in (0, 1))  # (3, T) corners
    area = (x[2] - x[0]) * (y[1] - y[0]) - (x[1] - x[0]) * (y[2] - y[0])  # counter-clockwise with y up: positive
    low_x, high_x = np.minimum(np.minimum(x[0], x[1]), x[2]), np.maximum(np.maximum(x[0], x[1]), x[2])
    low_y, high_y = np.minimum(np.minimum(y[0], y[1]), y[2]), np.maximum(np.maximum(y[0], y[1]), y[2])
    top = np.ceil(np.maximum(low_y - _EDGE, 0)).astype(np.int64)
    height = np.floor(np.minimum(high_y + _EDGE, size - 1)).astype(np.int64) - top + 1
    wanted = (area * facing if facing else np.abs(area)) > _TINY
    wanted &= (high_x >= 0) & (low_x <= size - 1) & (height > 0)
    ids = np.nonzero(wanted)[0]
    x, y, area, low_x, high_x, top = x[:, ids], y[:, ids], area[ids], low_x[ids], high_x[ids], top[ids]

    # pixel rows of the triangles: each edge bounds the row from the left or from the right
    owner = np.repeat(np.arange(len(ids)), height[ids])
    row = _count_up(height[ids]) + top[owner]
    first, last = (low_x - _EDGE)[owner], (high_x + _EDGE)[owner]
    for a, b in ((0, 1), (1, 2), (2, 0)):
        dy = (y[b] - y[a]) * np.sign(area)
        steep = np.abs(dy) > _TINY
        slope = np.where(steep, (x[b] - x[a]) * np.sign(area) / np.where(steep, dy, 1), 0)
        offset = x[a] - slope * y[a]
        left_offset = np.where(steep & (dy > 0), offset - _EDGE, -1e9)
        right_offset = np.where(steep & (dy < 0), offset + _EDGE, 1e9)
        run = slope[owner] * row
        np.maximum(first, run + left_offset[owner], out=first)
        np.minimum(last, run + right_offset[owner], out=last)
    first = np.ceil(np.maximum(first, 0)).astype(np.int64)
    width = np.maximum(np.floor(np.minimum(last, size - 1)).astype(np.int64) - first + 1, 0)

    # pixels of the rows; nearness is a plane over each triangle
    scale = 1 / area
    gx = np.stack([y[0] - y[2], y[1] - y[0]]) * scale
    gy = np.stack([x[2] - x[0], x[0] - x[1]]) * scale
    z = near.astype(np.float64)[triangles[ids].T]
    zx, zy = (g[0] * (z[1] - z[0]) + g[1] * (z[2] - z[0]) for g in (gx, gy))
    at_row = (z[0] - zx * x[0] - zy * y[0])[owner] + zy[owner] * row + zx[owner] * first
    step = _count_up(width)
    fragment_row = np.repeat(np.arange(len(row)), width)
    pixel = (row * size + first)[fragment_row] + step
    nearness = (at_row[fragment_row] + zx[owner][fragment_row] * step).astype(np.float32)

    depth = np.full(size * size, -np.inf, np.float32)
    np.maximum.at(depth, pixel, nearness)
    winner = np.nonzero(nearness == depth[pixel])[0]
    source = np.full(size * size, -1, np.int64)
    source[pixel[winner]] = owner[fragment_row[winner]]
    seen = np.nonzero(source >= 0)[0]
    source = source[seen]
    triangle = np.zeros(size * size, np.intp)
    triangle[seen] = ids[source]
    weights = np.zeros((3, size * size), np.float32)
    dx, dy = seen % size - x[0][source], seen // size - y[0][source]
    w1, w2 = (np.clip(gx[k][source] * dx + gy[k][source] * dy, 0, 1) for k in (0, 1))
    over = np.maximum(w1 + w2, 1)  # by rounding, in slivers
    weights[1, seen], weights[2, seen] = w1 / over, w2 / over
    weights[0, seen] = np.maximum(1 - weights[1, seen] - weights[2, seen], 0)
    return Fragments(triangle.reshape(size, size), weights.reshape(3, size, size), depth.reshape(size, size))


def _count_up(lengths: np.ndarray) -> np.ndarray:
    """Concatenate ``arange(n)`` for every n: [2, 3] gives [0, 1, 0, 1, 2]."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)


def interpolate(values: np.ndarray, triangles: np.ndarray, fragments: Fragments) -> np.ndarray:
    """Spread per-vertex values over the pixels; 0 where nothing is seen.

    Shape:
        - values: (K, V) float32
        - output: (K, H, W) float32
    """
    a, b, c = triangles.T
    seen, (_, second, third) = fragments.triangle, fragments.weights
    out = np.empty((len(values), *seen.shape), np.float32)
    for plane, value in zip(out, values):
        first = value[a]
        np.multiply((value[b] - first).take(seen), second, out=plane)
        plane += (value[c] - first).take(seen) * third
        plane += first.take(seen)
    out *= fragments.covered
    return out
