"""How much of each light direction reaches each point of the head: soft shadows and ambient occlusion by table.

The mean head is looked at from a grid of directions once; what is not seen from there lies in shadow.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ofhkit.rendering.head import Head, load_head
from ofhkit.rendering.raster import rasterise

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
