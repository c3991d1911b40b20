"""Eyeballs, teeth and tongue."""

from __future__ import annotations

import numpy as np

from ofhkit.datasets.synthetic.scene import Scene
from ofhkit.datasets.synthetic.skin import linear, over, step

_IRIS_ANGLE, _PUPIL_ANGLE = 0.47, 0.17  # seen from the eyeball's centre, radians


def eyeball(normals: np.ndarray, scene: Scene, noise: np.ndarray) -> np.ndarray:
    """Colour of the eyeballs from the direction of each point, seen from the eyeball's centre.

    Shape:
        - normals: (N, 3) unit vectors, head space
        - noise: (N,) fine grain
        - output: (N, 3) float32 linear reflectance
    """
    gaze = np.array([scene.gaze[0], scene.gaze[1], 1.0])
    gaze = (gaze / np.linalg.norm(gaze)).astype(np.float32)
    cosine = normals[:, 0] * gaze[0] + normals[:, 1] * gaze[1] + normals[:, 2] * gaze[2]
    angle = np.arccos(np.clip(cosine, -1, 1))
    white = linear([214, 202, 194]) * np.float32(0.75 + 0.1 * scene.shine)
    out = np.tile(white, (len(angle), 1)).astype(np.float32)
    out *= 1 - np.array([0.05, 0.3, 0.3], np.float32) * step(angle, 0.55, 1.1)[:, None]
    iris = linear(scene.iris) * 1.5 * (1 + 0.3 * noise[:, None])
    iris = iris * (0.55 + 0.75 * step(angle, 0.42, 0.2))[:, None]  # a dark ring outside
    over(out, step(angle, _IRIS_ANGLE + 0.03, _IRIS_ANGLE - 0.03), iris)
    over(out, step(angle, _PUPIL_ANGLE + 0.02, _PUPIL_ANGLE - 0.02), np.float32([0.004, 0.004, 0.004]))
    shade = 1 - 0.6 * step(normals[:, 1], 0.1, 0.42)  # under the upper lid
    return out * shade[:, None]


def teeth(points: np.ndarray, upper: np.ndarray, scene: Scene) -> np.ndarray:
    """Colour of the teeth.

    Shape:
        - points: (N, 3) position on the mean head
        - upper: (N,) bool
        - output: (N, 3) float32 linear reflectance
    """
    stain = np.clip((scene.age - 20) / 70, 0, 1) * 0.5
    base = linear([228, 218 - 10 * stain, 202 - 34 * stain]) * np.float32(0.82)
    x = np.abs(points[:, 0])
    pitch = np.where(upper, 0.085, 0.058)
    gap = np.abs(((x / pitch) % 1) - 0.5)
    line = 1 - 0.35 * step(gap, 0.4, 0.5)
    far = 1 - 0.75 * step(x, 0.1, 0.3)
    return (base * (line * far)[:, None]).astype(np.float32)
