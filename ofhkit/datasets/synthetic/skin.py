"""Colour and relief of the skin: pigment, blood, lips, brows, stubble, pores, wrinkles."""

from __future__ import annotations

import cv2
import numpy as np

from ofhkit.datasets.synthetic.noise import look_up
from ofhkit.datasets.synthetic.scene import Scene

Maps = dict[str, np.ndarray]


def linear(colour) -> np.ndarray:
    """sRGB 0..255 to linear light 0..1 (gamma 2.2), float32."""
    return (np.clip(np.asarray(colour, np.float32), 0, 255) / np.float32(255)) ** np.float32(2.2)


def over(below: np.ndarray, alpha: np.ndarray, colour: np.ndarray) -> None:
    """Lay ``colour`` (3,) or (H, W, 3) with opacity ``alpha`` (H, W) over ``below`` (H, W, 3), in place."""
    below += (colour - below) * alpha[..., None]


def step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Linear ramp: 0 at ``low``, 1 at ``high``, clipped; float32."""
    return np.clip((x - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)


def brows(maps: Maps, scene: Scene, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Opacity of the brows' hairs (H, W), 0..1."""
    along = maps["brow_along"]
    width = np.interp(along, [-0.12, 0.05, 0.3, 0.7, 1.1], [0.5, 1.0, 1.05, 0.75, 0.12]).astype(np.float32)
    centre = scene.brow_tilt * (along - 0.5) + 0.006
    edge = 1 - np.abs(maps["brow_across"] - np.float32(centre)) / (width * np.float32(scene.brow_width))
    hairs = look_up("fuzz", u * 2.2 + v * 1.6, v * 1.2, scene.offsets[0])
    return (
        np.clip(edge * 1.7 + 0.28 * hairs, 0, 1)
        * step(edge, -0.15, 0.25)
        * step(along, -0.14, 0.0)
        * step(along, 1.12, 0.95)
    )


def beard(maps: Maps, scene: Scene, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Opacity of beard or stubble (H, W), 0..1."""
    if scene.beard == "none":
        return np.zeros_like(u)
    fuzz = look_up("fuzz", u * 1.7, v * 1.3, scene.offsets[1])
    patch = look_up("mottle", u, v, scene.offsets[2])
    zone = maps["beard" if scene.beard in ("stubble", "full") else scene.beard]
    zone = np.clip(zone + (zone > 0.02) * (0.12 * patch + 0.1 * fuzz) * (zone < 0.98), 0, 1)
    if scene.beard == "stubble":
        return zone * np.clip(0.28 * scene.beard_density + 0.12 * fuzz + 0.05 * patch, 0, 1)
    return np.clip(zone * (0.55 + 0.45 * scene.beard_density + 0.22 * fuzz) * 1.1 - 0.1, 0, 0.97)


def albedo(maps: Maps, scene: Scene, u: np.ndarray, v: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Colour of skin, lips and brows without light.

    Shape:
        - maps: (H, W) float32 channels of the atlas at each pixel
        - u, v: (H, W) float32 texture position
        - inside: (H, W) 1 = inside of the mouth
        - output: (H, W, 3) float32 linear reflectance
    """
    mottle, pores = look_up("mottle", u, v, scene.offsets[3]), look_up("pores", u * 1.3, v * 1.3, scene.offsets[4])
    base = linear(scene.skin)
    light = np.float32(1 - 0.55 * scene.melanin)
    # optical density: blood takes green and blue, pigment mostly blue
    blood = np.float32(scene.redness * light) * (0.55 * maps["redness"] + 0.1 * np.float32(scene.blemish) * mottle)
    blood += np.float32(0.35 * scene.sockets * light) * maps["socket"]
    pigment = np.float32(0.055 * scene.blemish) * (pores + mottle) + np.float32(0.55 * scene.sockets) * maps["socket"]
    if scene.freckles > 0.05:
        spots = step(look_up("curls", u * 1.6, v * 1.6, scene.offsets[5]), 1.2, 2.0)
        pigment += np.float32(0.7 * min(scene.freckles, 1)) * spots * maps["freckles"]
    if scene.age > 50:
        spots = step(look_up("curls", u * 0.6, v * 0.6, scene.offsets[6]), 1.7, 2.3)
        pigment += np.float32(0.006 * (scene.age - 50)) * spots
    if scene.male > 0.5:
        pigment += np.float32(0.16 * (scene.male - 0.3)) * maps["shaved"]
    out = np.empty((*u.shape, 3), np.float32)
    for k, (b, p) in enumerate(((0.12, 0.6), (0.75, 0.85), (0.8, 1.0))):
        out[..., k] = base[k] * cv2.exp(-(b * blood + p * pigment))
    lips = maps["lips"]
    over(out, step(lips, 0.15, 0.75) * 0.92, linear(scene.lip_colour) * (1 + 0.1 * pores[..., None]))
    out *= (1 - np.float32(0.9) * step(inside, 0.35, 0.9))[..., None]
    return out


def relief(maps: Maps, scene: Scene, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Height of wrinkles, pores and lip furrows, in arbitrary units (H, W)."""
    grain = look_up("pores", u, v, scene.offsets[7])
    wrinkles = sum(
        np.float32(amount) * maps[name]
        for amount, name in zip(scene.wrinkles, ("forehead_lines", "eye_lines", "mouth_lines"))
    )
    uneven = 0.75 + 0.25 * look_up("clouds", u * 2, v * 2, scene.offsets[8])
    return wrinkles * uneven + np.float32(0.05 + 0.0012 * max(scene.age - 30, 0)) * grain * (1 + maps["lips"])
