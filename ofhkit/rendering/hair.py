"""A shell round the skull that carries hair, caps and scarves: a grid of strands from the crown downwards.

The upper rows follow the person's skull, the lower ones hang. A style says how thick the shell is, where it ends at
each azimuth and how its strands look; the rest is cut away by noise along the strands.
"""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from ofhkit.rendering.atlas import HAIRLINE, Skin, azimuth, load_atlas
from ofhkit.rendering.camera import IMAGE_SIZE, RENDER_SIZE, Camera
from ofhkit.rendering.head import BODY, Head, load_head
from ofhkit.rendering.raster import interpolate, rasterise
from ofhkit.rendering.scene import Scene
from ofhkit.rendering.skin import hair_light, linear, look_up, step, unit

COLUMNS, BOUND_ROWS, HANGING_ROWS = 61, 20, 10
_CENTRE = np.array([0.0, 7.5, 0.35])
_LAST_ANGLE, _HANG = np.radians(104), 0.24


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
        ears = Skin(atlas, *atlas.coordinates.T)["ear"] > 0.2
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
        found = interpolate(radius[None].astype(np.float32), triangles, seen)[0, :BOUND_ROWS]
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
    """The shell as seen by the camera, each (RENDER_SIZE, RENDER_SIZE) float32.

    Attributes:
        inside: distance from the style's edge, positive within.
        x, y: noise positions across and along the strands.
        near: nearness, as in the z-buffer.
        light, slant: see :func:`ofhkit.rendering.skin.hair_light`.
        coverage: 0..1 with a soft silhouette.
    """

    inside: np.ndarray
    x: np.ndarray
    y: np.ndarray
    near: np.ndarray
    light: np.ndarray
    slant: np.ndarray
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
    a, b = points.astype(np.float32), mean[ids]
    distance = np.maximum(
        (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * sum(np.outer(a[:, k], b[:, k]) for k in range(3)), 0
    )
    order = np.argpartition(distance, 6, axis=1)[:, :6]
    weight = 1 / (np.take_along_axis(distance, order, 1) + 0.005)
    return ids[order], (weight / weight.sum(1, keepdims=True)).astype(np.float32)


def hairline(scene: Scene, theta: np.ndarray) -> np.ndarray:
    """Height of the person's hairline at azimuths ``theta`` (on the mean head)."""
    angle = np.abs(theta)
    base = np.interp(angle, HAIRLINE[:, 0], HAIRLINE[:, 1])
    temples = np.exp(-(((angle - 0.5) / 0.22) ** 2)) * 0.32 + np.exp(-((angle / 0.3) ** 2)) * 0.15
    return base + (scene.hairline + scene.recede * temples) * (angle < 0.93)


def lower_edge(scene: Scene, theta: np.ndarray) -> np.ndarray:
    """Height at which the style ends at each azimuth."""
    angle, line = np.abs(theta), hairline(scene, theta)
    part = theta * np.sign(scene.hair_part)  # positive on the side that the hair is swept to
    fringe = 7.55 + 0.16 * scene.hair_wave + 0.12 * np.maximum(part + 0.2, 0)
    swept = 7.95 - 0.42 * step(part, -0.45, 0.75)  # falls from the parting towards one temple
    if scene.hair == "fringe":
        front = np.minimum(line, fringe if scene.hair_length > 0.5 else swept)
        return np.where(angle < 0.9, front, line - 0.1)
    if scene.hair in ("bob", "long"):
        end = 6.75 - 0.6 * scene.hair_length if scene.hair == "bob" else 5.9 - scene.hair_length
        opening = 0.8 + 0.22 * scene.hair_wave - 0.05 * np.sign(part)
        knots = [0, 0.4, 0.6, 0.76, 0.88, 0.95, 1.0, 1.05]
        curtain = np.interp(angle / opening, knots, [7.98, 7.93, 7.8, 7.6, 7.35, 7.05, 6.7, end])
        if scene.hair_length > 0.55:
            curtain = np.minimum(curtain, np.where(angle < 0.8, fringe if scene.hair_part > 0.25 else swept, 9.0))
        return np.minimum(curtain, np.where(angle > 0.93, end, line))
    if scene.hair == "curly":
        return line - 0.06 - 0.5 * scene.hair_length * (angle > 0.97) * (scene.male < 0.5)
    return line


_THICKNESS = {
    "buzz": 0.015, "short": 0.11, "swept": 0.15, "fringe": 0.13, "curly": 0.3, "bob": 0.15, "long": 0.14, "tied": 0.05,
}  # fmt: skip
_TAPER = {  # the height above the edge at which the full thickness is reached
    "buzz": 0.02, "short": 0.06, "swept": 0.12, "fringe": 0.02, "curly": 0.05, "bob": 0.05, "long": 0.05, "tied": 0.1,
}  # fmt: skip


def thickness(scene: Scene, shell: Shell, edge: np.ndarray) -> np.ndarray:
    """Distance of the shell from the skull (BOUND_ROWS, COLUMNS)."""
    above = shell.points[..., 1] - edge
    top = np.clip((shell.points[..., 1] - 7.6) / 0.7, 0, 1)
    full = _THICKNESS[scene.hair] * scene.hair_thickness * (0.85 + 0.4 * top)
    return 0.015 + full * (0.3 + 0.7 * np.clip(above / _TAPER[scene.hair] + 0.3, 0, 1))


def view(
    shell: Shell, grid: np.ndarray, edge: np.ndarray, camera: Camera, scene: Scene, facing: int = 1
) -> Layer | None:
    """Look at the shell; ``None`` where nothing of it is in the picture.

    All but the noise is smooth, so half the rendering's resolution serves.
    """
    slope = np.gradient(edge, shell.azimuth) / 0.85
    inside = (shell.heights() - edge) / np.sqrt(1 + slope**2)
    kept = (inside.ravel()[shell.triangles] > -0.12).any(1)
    triangles = shell.triangles[kept]
    xy, near = camera.project(grid.reshape(-1, 3))
    seen = rasterise(xy, near, triangles, IMAGE_SIZE, facing)
    if not seen.covered.any():
        return None
    along = _differences(grid, 0)
    normal = camera.rotate(np.cross(along, _differences(grid, 1)).reshape(-1, 3))
    along_camera = camera.rotate(along.reshape(-1, 3))
    length = np.cumsum(np.sqrt((np.diff(grid, axis=0, prepend=grid[:1]) ** 2).sum(-1)), axis=0)
    columns = np.broadcast_to(shell.azimuth, inside.shape)
    scalars = [v.ravel() for v in (inside, columns * 150, length * 150, near)]
    values = np.stack([*scalars, *normal.T, *along_camera.T]).astype(np.float32)
    image = interpolate(values, triangles, seen)
    light, slant = hair_light(unit(image[4:7]) * facing, unit(image[7:10]), scene)
    covered = seen.covered.astype(np.float32)
    planes = np.stack([*image[:4], light, slant], -1)
    # carry the values past the silhouette, so that enlarging does not mix them with nothing
    weight = cv2.blur(covered, (5, 5))
    spread = cv2.blur(planes * covered[..., None], (5, 5)) / np.maximum(weight, 1e-3)[..., None]
    planes = np.where(covered[..., None] > 0, planes, spread)
    return Layer(*(_enlarge(np.ascontiguousarray(planes[..., k])) for k in range(6)), _enlarge(covered))


def _differences(grid: np.ndarray, axis: int) -> np.ndarray:
    """Central differences along the grid, float32 (rows, COLUMNS, 3)."""
    return np.gradient(grid.astype(np.float32), axis=axis)


def _enlarge(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (RENDER_SIZE, RENDER_SIZE), interpolation=cv2.INTER_LINEAR)


def opacity(layer: Layer, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Opacity (H, W) of the hair and the strand noise (H, W) that colors it."""
    x, y, ragged, soft = layer.x, layer.y, 0.05, 0.06
    if scene.hair == "curly":
        (grain,) = look_up("curls", x * np.float32(0.75), y * np.float32(0.75), scene.offsets[9])
    elif scene.hair == "buzz":
        (grain,) = look_up("pores", x * np.float32(0.8), y * np.float32(0.8), scene.offsets[9])
        ragged, soft = 0.03, 0.14
    else:
        shear = np.float32(0.8 * np.sign(scene.hair_part) if scene.hair in ("fringe", "swept") else 0.0)
        bend = np.sin(y * np.float32(0.045) + x * np.float32(0.02)) * np.float32(22 * scene.hair_wave)
        (grain,) = look_up("strands", x + shear * y + bend, y, scene.offsets[9])
    alpha = np.clip((layer.inside + np.float32(ragged) * grain) * np.float32(1 / soft) + np.float32(0.3), 0, 1)
    alpha *= np.clip((layer.coverage - np.float32(0.45)) * 4 + np.float32(0.2) * grain * (layer.coverage < 0.98), 0, 1)
    return alpha * np.float32(0.75 if scene.hair == "buzz" else 1), grain


@lru_cache(maxsize=1)
def load_shell() -> Shell:
    """The shell of the package's head, fitted once a process."""
    return Shell(load_head())


_HAT_THICKNESS = {"beanie": 0.1, "cap": 0.08, "scarf": 0.13}


def hat_view(scene: Scene, points: np.ndarray, camera: Camera) -> Layer | None:
    """The scene's hat as seen by the camera; ``points`` (V, 3) is the person's mesh."""
    shell = load_shell()
    angle = np.abs(shell.azimuth)
    if scene.hat == "scarf":
        edge = np.interp(angle, [0, 0.45, 0.7, 0.85, 0.93, 0.97, 1.02], [7.98, 7.93, 7.72, 7.4, 7.0, 6.6, 5.2])
        edge -= 0.06 * scene.hair_wave
    else:
        sides = step(angle, 0.5, 1.3) * (0.42 if scene.hat == "beanie" else 0.25)
        edge = 7.9 - 0.12 * scene.hair_wave - sides
    cloth = np.full(shell.points.shape[:2], _HAT_THICKNESS[scene.hat] * scene.hair_thickness)
    if scene.hat == "beanie":
        cloth += 0.04 * (shell.points[..., 1] - edge < 0.22)  # the turn-up
    return view(shell, shell.fit(points, cloth, 0.05), edge, camera, scene)


def hat_opacity(layer: Layer) -> np.ndarray:
    """Opacity (H, W) of the cloth: sharp at its edge."""
    alpha = np.clip(layer.inside * np.float32(60) + np.float32(0.5), 0, 1)
    return alpha * step(layer.coverage, 0.3, 0.7)


def hat_color(layer: Layer, scene: Scene) -> np.ndarray:
    """Lit color (3, H, W) with the folds or the knit of the cloth."""
    if scene.hat == "beanie":
        (knit,) = look_up("knit", layer.x, layer.y, scene.offsets[12])
        weave = 0.2 * np.sin(layer.x * np.float32(0.75)) + 0.1 * knit
    else:
        (folds,) = look_up("clouds", layer.x * 1.5, layer.y * 4, scene.offsets[12])
        (threads,) = look_up("pores", layer.x, layer.y, scene.offsets[13])
        weave = 0.16 * folds + 0.05 * threads
    shade = layer.light * np.clip(1 + weave, 0.2, 2)
    return np.stack([shade * c for c in linear(scene.hat_color)])
