"""Eyeballs, teeth and tongue; colors are planar, (3, N) linear reflectance."""

from __future__ import annotations

import numpy as np

from ofhkit.rendering.scene import Scene
from ofhkit.rendering.skin import linear, over, step

_IRIS_ANGLE, _PUPIL_ANGLE = 0.5, 0.19  # seen from the eyeball's centre, radians
TONGUE = np.float32([0.26, 0.075, 0.07])


def eyeball(normals: np.ndarray, scene: Scene, noise: np.ndarray) -> np.ndarray:
    """Color of the eyeballs from the direction of each point, seen from the eyeball's centre.

    Shape:
        - normals: (3, N) unit vectors, head space
        - noise: (N,) fine grain
        - output: (3, N) float32
    """
    gaze = np.array([scene.gaze[0], scene.gaze[1], 1.0])
    gaze = (gaze / np.linalg.norm(gaze)).astype(np.float32)
    angle = np.arccos(np.clip((normals * gaze[:, None]).sum(0), -1, 1))
    veins = 0.12 + 0.5 * step(angle, 0.6, 1.1)
    white = linear(np.array([200, 190, 184]) - 24 * scene.melanin)
    out = np.stack([white[0] * (1 - 0.1 * veins), white[1] * (1 - 0.5 * veins), white[2] * (1 - 0.5 * veins)])
    ring = (0.5 + 0.8 * step(angle, _IRIS_ANGLE - 0.03, 0.22)) * (1 + 0.25 * noise)  # dark outside, light inside
    over(out, step(angle, _IRIS_ANGLE + 0.035, _IRIS_ANGLE - 0.035), [c * ring for c in linear(scene.iris)])
    over(out, step(angle, _PUPIL_ANGLE + 0.03, _PUPIL_ANGLE - 0.03), np.float32([0.004, 0.004, 0.004]))
    return out * (1 - 0.65 * step(normals[1], 0.02, 0.4))  # the upper lid's shade


def teeth(points: np.ndarray, upper: bool, scene: Scene) -> np.ndarray:
    """Color of the teeth.

    Shape:
        - points: (3, N) position on the mean head
        - output: (3, N) float32
    """
    stain = np.clip((scene.age - 20) / 70, 0, 1) * 0.6
    base = linear([232, 222 - 10 * stain, 206 - 34 * stain]) * np.float32(0.9 if upper else 0.75)
    x = np.abs(points[0])
    gap = np.abs(((x / (0.085 if upper else 0.058)) % 1) - 0.5)
    shade = (1 - 0.3 * step(gap, 0.4, 0.5)) * (1 - 0.8 * step(x, 0.12, 0.3))
    return base[:, None] * shade.astype(np.float32)
