"""Color and relief of the skin: pigment, blood, lips, brows, stubble, pores, wrinkles.

Images of colors are planar, (3, H, W), and hold linear light or reflectance, 0..1.
"""

from __future__ import annotations

import cv2
import numpy as np

from ofhkit.rendering.atlas import Skin
from ofhkit.rendering.noise import look_up
from ofhkit.rendering.scene import Scene

_BLOOD, _PIGMENT = (0.1, 0.62, 0.62), (0.55, 0.8, 1.0)  # optical density in red, green, blue


def linear(color) -> np.ndarray:
    """sRGB 0..255 (3,) to linear light 0..1 (gamma 2.2), float32.

    >>> linear([255, 0, 127.5]).round(2).tolist()
    [1.0, 0.0, 0.2199999988079071]
    """
    return (np.clip(np.asarray(color, np.float32), 0, 255) / np.float32(255)) ** np.float32(2.2)


def over(below: np.ndarray, alpha: np.ndarray, color: np.ndarray) -> None:
    """Lay ``color`` (3,) or (3, H, W) with opacity ``alpha`` (H, W) over ``below`` (3, H, W), in place."""
    for plane, c in zip(below, color):
        plane += (c - plane) * alpha


def step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Linear ramp: 0 at ``low``, 1 at ``high`` (which may be the smaller), clipped; float32."""
    ramp = (x - np.float32(low)) * np.float32(1 / (high - low))
    return np.clip(ramp, 0, 1, out=ramp)


def brows(maps: Skin, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Opacity of the brows' hairs (H, W), 0..1, and the area (H, W) bool that they grow on."""
    along, across = maps["brow_along"], maps["brow_across"]
    out, area = np.zeros_like(along), np.zeros(along.shape, bool)
    at = np.nonzero((np.abs(across) < 0.09) & (along > -0.15) & (along < 1.13))
    along, across = along[at], across[at]
    width = np.interp(along, [-0.12, 0.05, 0.3, 0.7, 1.1], [0.5, 1.0, 1.05, 0.75, 0.12]).astype(np.float32)
    centre = np.float32(scene.brow_tilt) * (along - np.float32(0.5)) + np.float32(0.006)
    edge = 1 - np.abs(across - centre) / (width * np.float32(scene.brow_width))
    (hairs,) = look_up("fuzz", maps.u[at] * 1.3 + maps.v[at] * 0.9, maps.v[at] * 0.8, scene.offsets[0])
    ends = step(along, -0.14, 0.05) * step(along, 1.12, 0.9)
    out[at] = np.clip(edge * 1.6 + 0.2 + 0.2 * hairs, 0, 1) * step(edge, -0.3, 0.35) * ends
    area[at] = (edge > 0) & (ends > 0.3)
    return out, area


def beard(maps: Skin, scene: Scene, fuzz: np.ndarray, mottle: np.ndarray) -> np.ndarray:
    """Opacity of beard or stubble (H, W), 0..1."""
    zone = maps["beard" if scene.beard in ("stubble", "full") else scene.beard]
    edge = 4 * zone * (1 - zone)
    zone = np.clip(zone + edge * (0.16 * mottle + 0.2 * fuzz), 0, 1)
    if scene.beard == "stubble":
        return zone * np.clip(np.float32(0.34 * scene.beard_density) + 0.1 * fuzz + 0.05 * mottle, 0, 1)
    return np.clip(zone * (np.float32(0.62 + 0.4 * scene.beard_density) + 0.16 * fuzz) - 0.1 * (1 - zone), 0, 0.97)


def albedo(maps: Skin, scene: Scene, inside: np.ndarray, pores: np.ndarray, mottle: np.ndarray) -> np.ndarray:
    """Color of skin and lips without light.

    Shape:
        - inside: (H, W) 1 = inside of the mouth
        - pores, mottle: (H, W) noise
        - output: (3, H, W) float32 linear reflectance
    """
    base = linear(scene.skin)
    light = 1 - 0.55 * scene.melanin
    socket = maps["socket"]
    blood = maps["redness"] * np.float32(0.55 * scene.redness * light) + mottle * np.float32(
        0.05 * scene.blemish * light
    )
    blood += socket * np.float32(0.35 * scene.sockets * light)
    pigment = (pores * np.float32(0.022) + mottle * np.float32(0.04)) * np.float32(scene.blemish)
    pigment += socket * np.float32(0.6 * scene.sockets)
    if scene.freckles > 0.05 or scene.age > 50:
        (dots,) = look_up("curls", maps.u * np.float32(1.5), maps.v * np.float32(1.5), scene.offsets[5])
        pigment += step(dots, 1.3, 2.2) * maps["freckles"] * np.float32(0.6 * min(scene.freckles, 1.0))
        pigment += step(dots, 2.2, 3.0) * np.float32(0.012 * max(scene.age - 50, 0))
    if scene.male > 0.5:
        pigment += maps["shaved"] * np.float32(0.2 * (scene.male - 0.4))
    out = np.stack([cv2.exp(blood * np.float32(-b) - pigment * np.float32(p)) for b, p in zip(_BLOOD, _PIGMENT)])
    out *= base[:, None, None]
    lips = step(maps["lips"], 0.1, 0.8)
    furrows = 1 + np.float32(0.07) * pores
    over(out, lips * np.float32(0.9), [c * furrows for c in linear(scene.lip_color)])
    out *= 1 - np.float32(0.93) * step(inside, 0.3, 0.85)
    return out


def relief(maps: Skin, scene: Scene, pores: np.ndarray, mottle: np.ndarray) -> np.ndarray:
    """Height of wrinkles, pores and lip furrows, in arbitrary units (H, W)."""
    out = pores * np.float32(0.018 + 0.0006 * max(scene.age - 30, 0))
    out += mottle * np.float32(0.05 + 0.0012 * max(scene.age - 30, 0))
    uneven = np.float32(0.8) + np.float32(0.2) * mottle
    for amount, name in zip(scene.wrinkles, ("forehead_lines", "eye_lines", "mouth_lines")):
        if amount > 0.05:
            out += maps[name] * uneven * np.float32(amount)
    return out
