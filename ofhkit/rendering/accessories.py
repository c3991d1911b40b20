"""Glasses (curves in the head's space, drawn over the rendering) and what is behind the head."""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from ofhkit.rendering.camera import IMAGE_SIZE, RENDER_SIZE, Camera, to_render
from ofhkit.rendering.head import load_head
from ofhkit.rendering.scene import Scene
from ofhkit.rendering.skin import SIZE, linear, tiles

# half width, half height, roundness (2 = ellipse, larger = box), line width in decimetres
_SHAPES = {"round": (0.225, 0.2, 2.0, 0.014), "square": (0.26, 0.17, 4.0, 0.028), "oval": (0.25, 0.155, 2.5, 0.012),
           "sun": (0.28, 0.215, 2.8, 0.024)}  # fmt: skip
_SUB = 4  # OpenCV draws at 1/16 pixel


class Glasses(NamedTuple):
    """Opacities (RENDER_SIZE, RENDER_SIZE) float32: frame, lenses, and the temples, which hair may cover."""

    frame: np.ndarray
    lenses: np.ndarray
    temples: np.ndarray


@lru_cache(maxsize=1)
def _ear_vertices() -> list[int]:
    mean = load_head().mean
    return [int(np.argmin(((mean - [sign * 0.77, 7.36, 0.55]) ** 2).sum(1))) for sign in (-1, 1)]


def glasses(points: np.ndarray, lm: np.ndarray, camera: Camera, scene: Scene) -> Glasses:
    """Draw a pair of glasses on the person's mesh (V, 3) and its landmarks (68, 3), head space."""
    half_width, half_height, power, line = _SHAPES[scene.glasses]
    half_width, half_height = half_width * scene.glasses_size, half_height * scene.glasses_size
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    c, s = np.cos(turn), np.sin(turn)
    ring = np.stack(
        [half_width * np.sign(c) * abs(c) ** (2 / power), half_height * np.sign(s) * abs(s) ** (2 / power)], 1
    )
    eyes = np.stack([lm[36:42].mean(0), lm[42:48].mean(0)])
    front = max(lm[27, 2] + 0.02, eyes[:, 2].max() + 0.16)
    masks = [np.zeros((RENDER_SIZE, RENDER_SIZE), np.uint8) for _ in range(3)]
    frame, lenses, temples = masks
    scale = abs(camera.zoom) * 2
    thick = max(1, round(line * scale))

    def place(p: np.ndarray) -> np.ndarray:
        return np.rint(to_render(camera.project(p)[0]) * 2**_SUB).astype(np.int32)

    hinges = []
    for side, eye in zip((-1, 1), eyes):
        rim = np.column_stack(
            [
                eye[0] + side * 0.02 + ring[:, 0],
                eye[1] - 0.025 + ring[:, 1],
                front - 0.25 * (ring[:, 0] * side + half_width) ** 2,
            ]
        )
        curve = place(rim)
        cv2.fillPoly(lenses, [curve], 255, cv2.LINE_AA, _SUB)
        cv2.polylines(frame, [curve], True, 255, thick, cv2.LINE_AA, _SUB)
        outer = rim[np.argmax(rim[:, 0] * side)] + [0, 0.06, 0]
        hinges.append(rim[np.argmax(-rim[:, 0] * side)] + [0, 0.03, 0.01])
        ear = points[_ear_vertices()[0 if side < 0 else 1]] + [side * 0.03, 0.03, 0.0]
        arm = place(np.stack([outer, outer * [1.04, 1, 1] - [0, 0, 0.1], ear]))
        if (arm[-1, 0] - arm[0, 0]) * side > 0:
            cv2.polylines(temples, [arm], False, 255, max(1, round(0.022 * scale)), cv2.LINE_AA, _SUB)
    a, b = hinges
    bridge = np.stack([a, (2 * a + b) / 3 + [0, 0.035, 0.03], (a + 2 * b) / 3 + [0, 0.035, 0.03], b])
    cv2.polylines(frame, [place(bridge)], False, 255, thick, cv2.LINE_AA, _SUB)
    return Glasses(*(m.astype(np.float32) * np.float32(1 / 255) for m in masks))


def backdrop(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Paint a background: (3, RENDER_SIZE, RENDER_SIZE) float32 linear light."""
    colors = linear(scene.background_colors)
    image = np.empty((IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)
    image[:] = colors[0]
    if scene.background == "gradient":
        turn = rng.uniform(0, 2 * np.pi)
        y, x = np.mgrid[-1 : 1 : IMAGE_SIZE * 1j, -1 : 1 : IMAGE_SIZE * 1j].astype(np.float32)
        share = np.clip(0.5 + 0.5 * (x * np.float32(np.cos(turn)) + y * np.float32(np.sin(turn))), 0, 1)
        image = image + (colors[1] - colors[0]) * share[..., None]
    elif scene.background == "blobs":
        for _ in range(rng.integers(4, 16)):
            place, radius = rng.integers(0, IMAGE_SIZE, 2).tolist(), rng.integers(5, 34, 2).tolist()
            cv2.ellipse(image, place, radius, rng.uniform(0, 180), 0, 360, colors[rng.integers(6)].tolist(), -1)
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(1.5, 9))
    elif scene.background == "edges":
        for _ in range(rng.integers(3, 9)):
            corners = rng.integers(-40, IMAGE_SIZE + 40, (rng.integers(3, 5), 2)).astype(np.int32)
            cv2.fillPoly(image, [cv2.convexHull(corners)], colors[rng.integers(6)].tolist())
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 5))
    row, column = rng.integers(0, SIZE - IMAGE_SIZE, 2)
    clouds = tiles()["clouds"][row : row + IMAGE_SIZE, column : column + IMAGE_SIZE]
    amount = 0.45 if scene.background == "clouds" else rng.uniform(0.02, 0.15)
    image = image * np.clip(1 + np.float32(amount) * clouds, 0.1, 2.5)[..., None]
    image = cv2.resize(image, (RENDER_SIZE, RENDER_SIZE), interpolation=cv2.INTER_LINEAR)
    return np.stack(cv2.split(image))
