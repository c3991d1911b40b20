"""Beanies, caps and headscarves: the same shell as the hair, of cloth, with a clean edge."""

from __future__ import annotations

import numpy as np

from ofhkit.rendering import hair
from ofhkit.rendering.camera import Camera
from ofhkit.rendering.noise import look_up
from ofhkit.rendering.scene import Scene
from ofhkit.rendering.skin import linear, step

_THICKNESS = {"beanie": 0.1, "cap": 0.08, "scarf": 0.13}


def view(scene: Scene, points: np.ndarray, camera: Camera) -> hair.Layer | None:
    """The scene's hat as seen by the camera; ``points`` (V, 3) is the person's mesh."""
    shell = hair.load_shell()
    angle = np.abs(shell.azimuth)
    if scene.hat == "scarf":
        edge = np.interp(angle, [0, 0.45, 0.7, 0.85, 0.93, 0.97, 1.02], [7.98, 7.93, 7.72, 7.4, 7.0, 6.6, 5.2])
        edge -= 0.06 * scene.hair_wave
    else:
        sides = step(angle, 0.5, 1.3) * (0.42 if scene.hat == "beanie" else 0.25)
        edge = 7.9 - 0.12 * scene.hair_wave - sides
    cloth = np.full(shell.points.shape[:2], _THICKNESS[scene.hat] * scene.hair_thickness)
    if scene.hat == "beanie":
        cloth += 0.04 * (shell.points[..., 1] - edge < 0.22)  # the turn-up
    return hair.view(shell, shell.fit(points, cloth, 0.05), edge, camera, scene)


def opacity(layer: hair.Layer) -> np.ndarray:
    """Opacity (H, W) of the cloth: sharp at its edge."""
    alpha = np.clip(layer.inside * np.float32(60) + np.float32(0.5), 0, 1)
    return alpha * step(layer.coverage, 0.3, 0.7)


def color(layer: hair.Layer, scene: Scene) -> np.ndarray:
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
