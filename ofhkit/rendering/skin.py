"""Surfaces: tiles of noise (made once, looked up at random places), skin, lips, eyeballs, teeth, and light on them.

Light is one main light with soft shadows, a fill light, sky and ground, and a gloss.

Images of colors are planar, (3, H, W), and hold linear light or reflectance, 0..1.
"""

from functools import lru_cache

import cv2
import numpy as np

from ofhkit.rendering.atlas import Skin
from ofhkit.rendering.scene import Scene

SIZE = 512


def _tile(rng: np.random.Generator, power: float, stretch: float = 1.0, low: float = 1.0, high: float = 256.0):
    """Periodic noise of unit variance: spectrum 1 / f^power, rows ``stretch`` times coarser than columns."""
    fy, fx = np.meshgrid(np.fft.fftfreq(SIZE) * SIZE, np.fft.rfftfreq(SIZE) * SIZE, indexing="ij")
    f = np.hypot(fy * stretch, fx)
    gain = np.where((f >= low) & (f <= high), np.maximum(f, 1.0) ** -power, 0)
    spectrum = np.fft.rfft2(rng.standard_normal((SIZE, SIZE))) * gain
    out = np.fft.irfft2(spectrum, s=(SIZE, SIZE))
    return (out / out.std()).astype(np.float32)


@lru_cache(maxsize=1)
def tiles() -> dict[str, np.ndarray]:
    """{name: (SIZE, SIZE) float32, periodic, mean 0, variance 1}.

    ``mottle`` soft blotches, ``pores`` fine grain, ``strands`` long along y, ``fuzz`` short hairs, ``curls`` round
    structure, ``clouds`` the largest scales only, ``knit`` threads.
    """
    rng = np.random.default_rng(1811_04645)
    strands = _tile(rng, 0.75, 14.0, 2.0)
    return {
        "mottle": _tile(rng, 1.5, low=3.0, high=80.0),
        "pores": _tile(rng, 0.35, low=30.0),
        "strands": strands,
        "fuzz": _tile(rng, 0.3, 4.0, 20.0),
        "curls": _tile(rng, 0.9, 1.3, 14.0, 120.0),
        "clouds": _tile(rng, 1.9, low=1.0, high=40.0),
        "knit": _tile(rng, 0.4, 3.0, 30.0),
    }


def look_up(names: str, x: np.ndarray, y: np.ndarray, offset: np.ndarray) -> list[np.ndarray]:
    """Read tiles at float32 positions (H, W) in tile pixels, moved by ``offset`` (2,) and wrapped round.

    Shape:
        - names: blank-separated; all are read at the same place, which costs one computation of it
        - output: one (H, W) float32 image a name
    """
    column = (x + np.float32(offset[0] + SIZE)).astype(np.int32) & (SIZE - 1)
    row = (y + np.float32(offset[1] + SIZE)).astype(np.int32) & (SIZE - 1)
    place = (row * SIZE + column).astype(np.intp)
    return [tiles()[name].ravel().take(place) for name in names.split()]


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
    """Color of the teeth at points (3, N) of the mean head -> (3, N) float32."""
    stain = np.clip((scene.age - 20) / 70, 0, 1) * 0.6
    base = linear([232, 222 - 10 * stain, 206 - 34 * stain]) * np.float32(0.9 if upper else 0.75)
    x = np.abs(points[0])
    gap = np.abs(((x / (0.085 if upper else 0.058)) % 1) - 0.5)
    shade = (1 - 0.3 * step(gap, 0.4, 0.5)) * (1 - 0.8 * step(x, 0.12, 0.3))
    return base[:, None] * shade.astype(np.float32)


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
