"""Which triangle is seen at each pixel, and which light reaches each vertex.

The z-buffer is exact and needs no loop over triangles.

Every triangle is cut into pixel rows and every row into pixels by ``numpy.repeat``; ``numpy.maximum.at`` keeps the
nearest. Everything is elementwise, so the result does not depend on the number of threads. Shadows and ambient
occlusion come from a table: the mean head is looked at from a grid of directions once; what is not seen from there lies
in shadow.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ofhkit.rendering.head import Head, load_head

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


AZIMUTHS = np.radians(np.arange(-100, 101, 25.0))
ELEVATIONS = np.radians(np.arange(-25, 76, 25.0))
_SIZE, _BIAS = 128, 0.03


def direction(azimuth: float, elevation: float) -> np.ndarray:
    """Unit vector; azimuth 0 = from the front, positive from the image's right; elevation positive from above."""
    c = np.cos(elevation)
    return np.array([c * np.sin(azimuth), np.sin(elevation), c * np.cos(azimuth)])


class Visibility:
    """Shadow table of the mean head.

    Attributes:
        table: (len(AZIMUTHS), len(ELEVATIONS), V) float32, 0 = in shadow, 1 = lit.
        openness: (V,) float32, the share of the sky above a point that is open (ambient occlusion).
    """

    def __init__(self, head: Head):
        normals = head.normals(head.mean)
        rows = []
        total, weight = np.zeros(len(normals)), np.full(len(normals), 1e-6)
        for azimuth in AZIMUTHS:
            row = []
            for elevation in ELEVATIONS:
                light = direction(azimuth, elevation)
                lit = _lit_from(head, light)
                cosine = np.maximum(normals @ light, 0) * np.cos(elevation)
                total, weight = total + cosine * lit, weight + cosine
                row.append(lit)
            rows.append(row)
        self.table = np.array(rows, np.float32)
        self.openness = np.where(weight > 0.05, total / weight, 1.0).astype(np.float32)

    def from_light(self, light: np.ndarray) -> np.ndarray:
        """Visibility (V,) of a light in direction ``light`` (3,), in the head's space."""
        azimuth, elevation = np.arctan2(light[0], light[2]), np.arcsin(np.clip(light[1], -1, 1))
        i, s = _bracket(azimuth, AZIMUTHS)
        j, t = _bracket(elevation, ELEVATIONS)
        near, far = (self.table[k, j] * np.float32(1 - t) + self.table[k, j + 1] * np.float32(t) for k in (i, i + 1))
        return near * np.float32(1 - s) + far * np.float32(s)


def _bracket(value: float, grid: np.ndarray) -> tuple[int, float]:
    place = float(np.interp(value, grid, np.arange(len(grid))))
    low = min(int(place), len(grid) - 2)
    return low, place - low


def _lit_from(head: Head, light: np.ndarray) -> np.ndarray:
    """Compare each vertex with a depth image taken from the light, softened over 3 x 3 pixels; (V,) in 0..1."""
    side = np.cross([0.0, 1.0, 0.0], light)
    side /= np.linalg.norm(side)
    up = np.cross(light, side)
    centre = np.array([0.0, 7.2, 0.6])
    p = head.mean - centre
    xy = np.stack([p @ side, -(p @ up)], 1) * (_SIZE / 3.6) + (_SIZE - 1) / 2
    near = p @ light
    depth = rasterise(xy, near, head.triangles, _SIZE, facing=0).depth
    column, row = (np.clip(np.rint(xy[:, k]).astype(int), 1, _SIZE - 2) for k in (0, 1))
    steps = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
    return np.mean([near > depth[row + a, column + b] - _BIAS for a, b in steps], axis=0)


@lru_cache(maxsize=1)
def load_visibility() -> Visibility:
    """The table of the package's head, computed once a process."""
    return Visibility(load_head())
