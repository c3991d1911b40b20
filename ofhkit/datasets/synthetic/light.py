"""Light on surfaces: one main light with soft shadows, a fill light, sky and ground, and a gloss."""

from __future__ import annotations

import cv2
import numpy as np

from ofhkit.datasets.synthetic.scene import Scene

_WRAP = (0.28, 0.14, 0.1)  # light creeps round the edge, red farthest: the glow of skin
_GROUND = np.array([1.0, 0.88, 0.78])


def dot(n: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Dot product of an image of vectors (3, H, W) with one vector (3,)."""
    return n[0] * np.float32(v[0]) + n[1] * np.float32(v[1]) + n[2] * np.float32(v[2])


def half_way(light: np.ndarray) -> np.ndarray:
    """The direction half-way between ``light`` and the viewer."""
    h = light + np.array([0, 0, 1])
    return h / np.linalg.norm(h)


def unit(n: np.ndarray) -> np.ndarray:
    """Scale vectors (3, H, W) to length 1."""
    return n / (cv2.sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]) + np.float32(1e-6))


def lit_skin(colour: np.ndarray, n: np.ndarray, sun: np.ndarray, openness: np.ndarray, gloss: np.ndarray, scene: Scene):
    """Shade skin, eyes, lips and cloth.

    Shape:
        - colour: (H, W, 3) linear reflectance
        - n: (3, H, W) unit normals, camera space
        - sun: (H, W) visibility of the main light, 0..1
        - openness: (H, W) visibility of the sky, 0..1
        - gloss: (H, W) strength of the highlight
        - output: (H, W, 3) float32 linear light
    """
    towards = dot(n, scene.key)
    fill = np.maximum(dot(n, scene.fill) + np.float32(0.4), 0) * np.float32(scene.fill_strength / 1.4) * openness
    up = n[1] * np.float32(0.5) + np.float32(0.5)
    ambient = np.float32(scene.ambient) * openness
    rim = (
        np.float32(scene.rim_strength) * np.maximum(np.float32(0.45) - n[2], 0) * np.maximum(n[1] + np.float32(0.4), 0)
    )
    shine = cv2.pow(np.maximum(dot(n, half_way(scene.key)), 0), 22) * sun * gloss * np.float32(scene.key_strength)
    out = np.empty_like(colour)
    for k in range(3):
        wrap = np.float32(_WRAP[k])
        key = (
            np.maximum(towards + wrap, 0) * np.float32(scene.key_strength * scene.key_colour[k] / (1 + _WRAP[k])) * sun
        )
        sky = ambient * (up * np.float32(scene.sky[k]) + (1 - up) * np.float32(0.55 * _GROUND[k]))
        out[..., k] = colour[..., k] * (key + fill + sky + rim) + shine * np.float32(scene.key_colour[k])
    return out


def lit_hair(colour: np.ndarray, n: np.ndarray, along: np.ndarray, grain: np.ndarray, gloss: float, scene: Scene):
    """Shade hair: the highlight lies across the strands.

    Shape:
        - colour: (H, W, 3) linear reflectance
        - n, along: (3, H, W) unit normal and strand direction, camera space
        - grain: (H, W) noise that shifts the highlight from strand to strand
        - output: (H, W, 3) float32 linear light
    """
    down = dot(along, half_way(scene.key)) + np.float32(0.08) * grain
    across = np.maximum(1 - down * down, 0)
    facing = np.clip(dot(n, scene.key) * np.float32(0.7) + np.float32(0.45), 0, 1)
    key = facing * (0.35 + 0.65 * across) * np.float32(scene.key_strength)
    up = n[1] * np.float32(0.4) + np.float32(0.6)
    base = key + np.float32(scene.ambient) * up + np.float32(0.5 * scene.fill_strength)
    shine = cv2.pow(across, 24) * facing * np.float32(gloss * scene.key_strength)
    tint = colour / (colour.mean() + np.float32(1e-3)) * np.float32(0.6) + np.float32(0.4)
    return colour * base[..., None] + tint * shine[..., None]
