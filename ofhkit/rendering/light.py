"""Light on surfaces: one main light with soft shadows, a fill light, sky and ground, and a gloss."""

import cv2
import numpy as np

from ofhkit.rendering.scene import Scene

_WRAP = (0.3, 0.16, 0.12)  # light creeps round the edge, red farthest: the glow of skin
_GROUND = (1.0, 0.88, 0.78)


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


def lit_skin(
    color: np.ndarray, n: np.ndarray, sun: np.ndarray, openness: np.ndarray, gloss: np.ndarray, scene: Scene
) -> np.ndarray:
    """Shade skin, eyes, lips and cloth.

    Shape:
        - color: (3, H, W) linear reflectance
        - n: (3, H, W) unit normals, camera space
        - sun: (H, W) visibility of the main light, 0..1
        - openness: (H, W) visibility of the sky, 0..1
        - gloss: (H, W) strength of the highlight
        - output: (3, H, W) float32 linear light
    """
    towards = dot(n, scene.key)
    fill = np.maximum(dot(n, scene.fill) + np.float32(0.4), 0) * openness
    up = n[1] * np.float32(0.5) + np.float32(0.5)
    rim = np.maximum(np.float32(0.45) - n[2], 0) * np.maximum(n[1] + np.float32(0.4), 0)
    fixed = fill * np.float32(scene.fill_strength / 1.4) + rim * np.float32(scene.rim_strength)
    shine = np.maximum(dot(n, half_way(scene.key)), 0)
    shine = shine * shine
    shine = shine * shine
    broad = shine * shine  # power 8
    shine = (broad * broad * broad * np.float32(0.75) + broad * np.float32(0.12)) * sun * gloss
    out = np.empty_like(color)
    for k in range(3):
        strength = np.float32(scene.key_strength * scene.key_color[k])
        key = np.maximum(towards + np.float32(_WRAP[k]), 0) * sun * (strength / np.float32(1 + _WRAP[k]))
        low, high = np.float32(0.55 * _GROUND[k] * scene.ambient), np.float32(scene.sky[k] * scene.ambient)
        sky = (up * (high - low) + low) * openness
        out[k] = color[k] * (key + sky + fixed) + shine * strength
    return out


def hair_light(n: np.ndarray, along: np.ndarray, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """What hair needs of the light, smooth enough for a coarse image.

    Shape:
        - n, along: (3, H, W) unit normal and strand direction, camera space
        - output: (H, W) light that falls on it; (H, W) cosine between the strands and the half-way direction
    """
    facing = np.clip(dot(n, scene.key) * np.float32(0.7) + np.float32(0.4), 0, 1)
    base = facing * np.float32(0.85 * scene.key_strength) + np.float32(0.4 * scene.fill_strength)
    base += (n[1] * np.float32(0.4) + np.float32(0.6)) * np.float32(scene.ambient)
    return base, dot(along, half_way(scene.key))


def lit_hair(color: np.ndarray, light: np.ndarray, slant: np.ndarray, grain: np.ndarray, scene: Scene) -> np.ndarray:
    """Shade hair; the highlight lies across the strands and shifts from strand to strand.

    Shape:
        - color: (3,) linear reflectance
        - light, slant: (H, W) of :func:`hair_light`
        - grain: (H, W) noise of the strands
        - output: (3, H, W) float32 linear light
    """
    down = slant + np.float32(0.07) * grain
    across = np.maximum(1 - down * down, 0)
    shine = across * across
    shine = shine * shine
    shine = shine * shine * shine * light * np.float32(0.07 * (0.4 + scene.shine))
    body = light * np.clip(1 + np.float32(0.26) * grain, 0.3, 2) * (0.6 + 0.4 * across)
    tint = 0.5 + 0.5 * color / (color.mean() + np.float32(0.02))
    return np.stack([body * c + shine * t for c, t in zip(color, tint)])
