"""A shell round the skull that carries hair, caps and scarves: a grid of strands from the crown downwards.

The upper rows follow the person's skull, the lower ones hang. A style says how thick the shell is, where it ends at
each azimuth and how its strands look; the rest is cut away by noise along the strands.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from ofhkit.datasets.synthetic.atlas import HAIRLINE, azimuth, load_atlas
from ofhkit.datasets.synthetic.camera import RENDER_SIZE, Camera
from ofhkit.datasets.synthetic.head import BODY, Head, load_head
from ofhkit.datasets.synthetic.noise import look_up
from ofhkit.datasets.synthetic.raster import interpolate, rasterise
from ofhkit.datasets.synthetic.scene import Scene

COLUMNS, BOUND_ROWS, HANGING_ROWS = 73, 26, 14
_CENTRE = np.array([0.0, 7.5, 0.35])
_LAST_ANGLE, _HANG = np.radians(104), 0.17


class Shell:
    """The grid on the mean head and how it follows another head.

    Attributes:
        azimuth: (COLUMNS,) radians.
        points: (BOUND_ROWS, COLUMNS, 3) on the mean head, ears left out.
        outward: (BOUND_ROWS, COLUMNS, 3) unit vectors.
        followed, shares: (BOUND_ROWS, COLUMNS, 6) vertex ids and weights whose movement a point follows.
        triangles: (T, 3) of the whole grid, bound and hanging rows, row-major.
    """

    def __init__(self, head: Head):
        self.azimuth = np.linspace(-np.pi, np.pi, COLUMNS)
        polar = np.linspace(np.radians(4), _LAST_ANGLE, BOUND_ROWS)
        atlas = load_atlas()
        ears = (
            atlas.look_up(*(np.ascontiguousarray(atlas.coordinates[:, k : k + 1]) for k in (0, 1)))["ear"][:, 0] > 0.2
        )
        usable = np.zeros(len(head.vertices), bool)
        usable[head.triangles[head.group == BODY]] = True
        usable &= ~ears
        d = head.mean - _CENTRE
        theta, radius = azimuth(head.mean), np.linalg.norm(d, axis=1)
        phi = np.arccos(np.clip(d[:, 1] / radius, -1, 1))
        triangles = head.triangles[usable[head.triangles].all(1)]
        triangles = triangles[np.ptp(theta[triangles], axis=1) < 2]
        xy = np.stack([(theta + np.pi) / (2 * np.pi) * (COLUMNS - 1), (phi - polar[0]) / (polar[1] - polar[0])], 1)
        seen = rasterise(xy, radius, triangles, COLUMNS, facing=0)
        known = seen.covered[:BOUND_ROWS]
        found = interpolate(radius[:, None].astype(np.float32), triangles, seen)[0, :BOUND_ROWS]
        filled = _fill(found, known)
        directions = np.stack(
            [
                np.sin(polar)[:, None] * np.sin(self.azimuth),
                np.cos(polar)[:, None] + 0 * self.azimuth,
                np.sin(polar)[:, None] * np.cos(self.azimuth),
            ],
            -1,
        )
        self.points = _CENTRE + directions * filled[..., None]
        self.outward = directions * [1, 0.6, 1]
        self.outward /= np.linalg.norm(self.outward, axis=-1, keepdims=True)
        self.followed, self.shares = _nearest(self.points.reshape(-1, 3), head.mean, np.nonzero(usable)[0])
        rows = BOUND_ROWS + HANGING_ROWS
        a = (np.arange(rows - 1)[:, None] * COLUMNS + np.arange(COLUMNS - 1)).ravel()
        b, c = a + 1, a + COLUMNS
        self.triangles = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, c + 1], 1)]).astype(np.int32)
        self.mean = head.mean

    def heights(self) -> np.ndarray:
        """Height (rows, COLUMNS) of each grid point on the mean head, hanging rows included."""
        bound = self.points[..., 1]
        return np.concatenate([bound, bound[-1] - _HANG * np.arange(1, HANGING_ROWS + 1)[:, None]])

    def fit(self, head_points: np.ndarray, thickness: np.ndarray, flare: float) -> np.ndarray:
        """Grid points (rows, COLUMNS, 3) round another head; ``thickness`` (BOUND_ROWS, COLUMNS) or a number."""
        moved = head_points[self.followed] - self.mean[self.followed]
        points = self.points + (moved * self.shares[..., None]).sum(1).reshape(self.points.shape)
        points = points + self.outward * np.broadcast_to(thickness, points.shape[:2])[..., None]
        down = np.arange(1, HANGING_ROWS + 1)[:, None, None] * _HANG
        away = np.stack([np.sin(self.azimuth), np.full(COLUMNS, -1.0), np.cos(self.azimuth)], -1) * [flare, 1, flare]
        return np.concatenate([points, points[-1] + down * away])


class Layer(NamedTuple):
    """The shell as seen by the camera, each (RENDER_SIZE, RENDER_SIZE) float32 but the vectors (3, ...).

    ``inside`` is the distance from the style's edge (positive within), ``x`` and ``y`` are noise positions across and
    along the strands, ``coverage`` is 0..1 with a soft silhouette.
    """

    normal: np.ndarray
    along: np.ndarray
    inside: np.ndarray
    x: np.ndarray
    y: np.ndarray
    near: np.ndarray
    coverage: np.ndarray


def _fill(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Smooth a map and fill what is unknown from its neighbours."""
    out, weight = values * known, known.astype(np.float32)
    result = np.where(known, values, 0)
    for sigma in (1.0, 2.0, 4.0, 9.0):
        a, w = (cv2.GaussianBlur(v, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for v in (out, weight))
        result = np.where((result == 0) & (w > 0.02), a / np.maximum(w, 1e-6), result)
    return cv2.GaussianBlur(result.astype(np.float32), (0, 0), 1.2, borderType=cv2.BORDER_REPLICATE)


def _nearest(points: np.ndarray, mean: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    distance = np.stack([((mean[ids] - p) ** 2).sum(1) for p in points])
    order = np.argsort(distance, axis=1)[:, :6]
    weight = 1 / (np.take_along_axis(distance, order, 1) + 0.005)
    return ids[order], (weight / weight.sum(1, keepdims=True)).astype(np.float32)


def hairline(scene: Scene, theta: np.ndarray) -> np.ndarray:
    """Height of the person's hairline at azimuths ``theta`` (on the mean head)."""
    angle = np.abs(theta)
    base = np.interp(angle, HAIRLINE[:, 0], HAIRLINE[:, 1])
    temples = np.exp(-(((angle - 0.5) / 0.2) ** 2)) * 0.3 + np.exp(-((angle / 0.3) ** 2)) * 0.12
    return base + (scene.hairline + scene.recede * temples) * (angle < 0.95)


def lower_edge(scene: Scene, theta: np.ndarray) -> np.ndarray:
    """Height at which the style ends at each azimuth."""
    angle, line = np.abs(theta), hairline(scene, theta)
    part = theta * np.sign(scene.hair_part)
    fringe = 7.62 + 0.12 * scene.hair_wave + 0.1 * np.maximum(part + 0.2, 0) + 0.25 * step_up(angle, 0.55, 0.85)
    if scene.hair == "fringe":
        return np.where(angle < 0.95, np.minimum(line, fringe), line - 0.12)
    if scene.hair in ("bob", "long"):
        end = 6.75 - 0.6 * scene.hair_length if scene.hair == "bob" else 5.9 - scene.hair_length
        opening = 0.93 + 0.14 * scene.hair_wave - 0.06 * np.sign(part)
        knots = [0, 0.41, 0.61, 0.76, 0.88, 0.94, 1.0, 1.05]
        curtain = np.interp(angle / opening, knots, [8.02, 7.98, 7.86, 7.66, 7.4, 7.05, 6.7, end])
        if scene.hair_length > 0.62:
            curtain = np.minimum(curtain, np.where(angle < 0.85, fringe, 9.0))
        return np.minimum(curtain, np.where(angle > 0.95, end, line))
    if scene.hair == "curly":
        return line - 0.05 - (0.5 * scene.hair_length * (angle > 1.0) * (scene.male < 0.5))
    return line


def step_up(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Linear ramp from 0 to 1."""
    return np.clip((x - low) / (high - low), 0, 1)


_THICKNESS = {
    "buzz": 0.012,
    "short": 0.09,
    "swept": 0.13,
    "fringe": 0.11,
    "curly": 0.26,
    "bob": 0.13,
    "long": 0.13,
    "tied": 0.05,
}
_TAPER = {
    "buzz": 0.02,
    "short": 0.1,
    "swept": 0.16,
    "fringe": 0.02,
    "curly": 0.05,
    "bob": 0.06,
    "long": 0.06,
    "tied": 0.12,
}


def thickness(scene: Scene, shell: Shell, edge: np.ndarray) -> np.ndarray:
    """Distance of the shell from the skull (BOUND_ROWS, COLUMNS)."""
    above = shell.points[..., 1] - edge
    top = step_up(shell.points[..., 1], 7.6, 8.3)
    full = _THICKNESS[scene.hair] * scene.hair_thickness * (0.75 + 0.5 * top)
    return 0.012 + full * (0.25 + 0.75 * step_up(above, -0.02, _TAPER[scene.hair]))


def view(shell: Shell, grid: np.ndarray, edge: np.ndarray, camera: Camera, facing: int = 1) -> Layer | None:
    """Look at the shell; ``None`` where nothing of it is in the picture."""
    inside = shell.heights() - edge
    slope = np.gradient(edge, shell.azimuth) / 0.85
    inside = inside / np.sqrt(1 + slope**2)
    flat = grid.reshape(-1, 3)
    along = np.gradient(grid, axis=0)
    across = np.gradient(grid, axis=1)
    normal = np.cross(along, across)
    along, normal = (v / (np.linalg.norm(v, axis=-1, keepdims=True) + 1e-9) for v in (along, normal))
    length = np.cumsum(np.linalg.norm(np.diff(grid, axis=0, prepend=grid[:1]), axis=-1), axis=0)
    kept = (inside.ravel()[shell.triangles] > -0.12).any(1)
    if not kept.any():
        return None
    triangles = shell.triangles[kept]
    size = RENDER_SIZE // 2
    xy, near = camera.project(flat)  # the picture's own resolution is enough: all is smooth
    seen = rasterise(xy, near, triangles, size, facing)
    if not seen.covered.any():
        return None
    columns = np.broadcast_to(shell.azimuth, inside.shape)
    values = [
        camera.rotate(normal.reshape(-1, 3).astype(np.float32)), camera.rotate(along.reshape(-1, 3).astype(np.float32)),
        np.stack([inside, columns * 150, length * 150, near.reshape(inside.shape)], -1).reshape(-1, 4),
    ]  # fmt: skip
    image = interpolate(np.concatenate(values, 1).astype(np.float32), triangles, seen).transpose(1, 2, 0)
    covered = seen.covered.astype(np.float32)
    # carry the values past the silhouette, so that enlarging does not mix them with nothing
    spread = cv2.blur(image, (5, 5)) / np.maximum(cv2.blur(covered, (5, 5)), 1e-3)[..., None]
    image = np.where(covered[..., None] > 0, image, spread)
    planes = [_enlarge(image[..., k]) for k in range(10)]
    return Layer(np.stack(planes[:3]), np.stack(planes[3:6]), *planes[6:], _enlarge(covered))


def _enlarge(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (RENDER_SIZE, RENDER_SIZE), interpolation=cv2.INTER_LINEAR)


def opacity(layer: Layer, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Opacity (H, W) of the hair and the strand noise (H, W) that colours it."""
    bend = 22 * scene.hair_wave * np.sin(layer.y * np.float32(0.045) + layer.x * np.float32(0.02))
    if scene.hair == "curly":
        grain = look_up("curls", layer.x * 1.1, layer.y * 1.1, scene.offsets[9])
        ragged, soft = 0.055, 0.05
    elif scene.hair == "buzz":
        grain = look_up("pores", layer.x * 0.8, layer.y * 0.8, scene.offsets[9])
        ragged, soft = 0.03, 0.12
    else:
        shear = 0.8 * np.sign(scene.hair_part) if scene.hair in ("fringe", "swept") else 0.0
        grain = look_up("strands", layer.x + shear * layer.y + bend, layer.y, scene.offsets[9])
        ragged, soft = (0.05, 0.05) if scene.hair != "short" else (0.03, 0.05)
    alpha = np.clip((layer.inside + ragged * grain + 0.3 * soft) * np.float32(1 / soft), 0, 1)
    rim = np.clip((layer.coverage - 0.35) * 3 + 0.3 * grain * (layer.coverage < 0.98), 0, 1)
    alpha = alpha * rim
    if scene.hair == "buzz":
        alpha *= 0.75
    return alpha, grain


@lru_cache(maxsize=1)
def load_shell() -> Shell:
    """The shell of the package's head, fitted once a process."""
    return Shell(load_head())
