"""What is behind the head: nothing about it depends on the face."""

from __future__ import annotations

import cv2
import numpy as np

from ofhkit.rendering.camera import IMAGE_SIZE, RENDER_SIZE
from ofhkit.rendering.noise import SIZE, tiles
from ofhkit.rendering.scene import Scene
from ofhkit.rendering.skin import linear


def backdrop(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Paint a background.

    Shape:
        - output: (3, RENDER_SIZE, RENDER_SIZE) float32 linear light
    """
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
