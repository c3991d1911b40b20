"""Everything that is drawn by chance: one ``Scene`` holds a person, an expression, a style, a camera and the light."""

from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

from ofhkit.rendering.head import Head, macro_mixture
from ofhkit.rendering.raster import direction

SPLITS = ("train", "val", "test")
HAIR_STYLES = ("bald", "buzz", "short", "swept", "fringe", "curly", "bob", "long", "tied")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
HATS = ("none", "beanie", "cap", "scarf")
BACKGROUNDS = ("plain", "gradient", "blobs", "edges", "clouds")
GLASSES = ("none", "round", "square", "oval", "sun")
# Means of traits, so that eyes and mouths are as wide as in aligned photographs (positive: the second direction)
_BIAS = {"eyes/eye-height2": 0.1, "eyes/eye-scale": 0.35, "mouth/mouth-scale-horiz": 0.35}
# sRGB skin from light to dark: (share of the way, color)
_SKIN = np.array([
    (0.00, 244, 211, 196), (0.14, 231, 187, 163), (0.39, 212, 160, 128), (0.64, 180, 124, 90), (0.80, 138, 88, 60),
    (0.91, 98, 61, 43), (1.00, 68, 43, 33),
])  # fmt: skip
_HAIR = np.array([
    (22, 18, 17), (42, 30, 24), (70, 47, 32), (104, 72, 46), (152, 112, 68), (198, 162, 108), (128, 62, 34),
])  # fmt: skip  # black, darkest brown ... blond, red
_IRIS = np.array([(52, 31, 20), (82, 54, 30), (104, 84, 48), (84, 104, 82), (92, 120, 150), (122, 136, 146)])


@dataclass
class Scene:
    """One drawn scene; colors are sRGB 0..255, angles radians, lengths the head model's decimetres."""

    weights: dict[str, float]  # of the head's shape targets
    age: float  # years
    male: float  # 0..1
    melanin: float  # 0 lightest .. 1 darkest
    skin: np.ndarray
    redness: float
    freckles: float
    blemish: float
    shine: float
    wrinkles: np.ndarray  # forehead, eyes, mouth
    sockets: float
    lip_color: np.ndarray
    makeup: float
    brow_width: float
    brow_density: float
    brow_tilt: float
    brow_color: np.ndarray
    iris: np.ndarray
    gaze: np.ndarray  # (2,) right, up
    hair: str
    hair_color: np.ndarray
    hair_thickness: float
    hair_length: float
    hair_part: float  # azimuth of the parting
    hairline: float  # shift upwards
    recede: float
    hair_wave: float
    beard: str
    beard_density: float
    beard_color: np.ndarray
    hat: str
    hat_color: np.ndarray
    glasses: str
    glasses_color: np.ndarray
    glasses_size: float
    cloth_color: np.ndarray
    cloth_height: float
    yaw: float
    pitch: float
    roll: float
    distance: float
    key: np.ndarray  # (3,) direction of the main light, camera space
    key_strength: float
    key_color: np.ndarray
    fill: np.ndarray
    fill_strength: float
    ambient: float
    sky: np.ndarray
    rim_strength: float
    exposure: float
    white_balance: np.ndarray
    contrast: float
    saturation: float
    blur: float
    noise: float
    jpeg_quality: int
    background: str
    background_colors: np.ndarray
    offsets: np.ndarray = field(repr=False)  # (16, 2) places in the noise tiles


def generator(seed: int, split: str, index: int) -> np.random.Generator:
    """The random numbers of one face: a function of (seed, split, index) alone.

    >>> generator(0, 'train', 1).random() == generator(0, 'train', 1).random() != generator(0, 'test', 1).random()
    True
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(SPLITS.index(split), index))
    return np.random.Generator(np.random.Philox(sequence))


def _pick(rng: np.random.Generator, options: Sequence, odds: Iterable[float] | None = None):
    """One of ``options``, with chances in proportion to ``odds``."""
    if odds is None:
        return options[int(rng.integers(len(options)))]
    sums = list(accumulate(float(o) for o in odds))
    return options[min(bisect(sums, rng.random() * sums[-1]), len(options) - 1)]


def draw_scene(head: Head, rng: np.random.Generator) -> Scene:
    """Draw a scene; ages 18..85 and skin tones are spread evenly."""
    melanin, age, male = rng.random(), rng.uniform(18, 85), float(rng.random() < 0.5)
    male = float(np.clip(male + (0.5 - male) * abs(rng.normal(0, 0.25)), 0, 1))
    old = float(np.clip((age - 22) / 60, 0, 1)) ** 1.2
    weights = _shape(head, rng, melanin, male, old)
    weights.update(_expression(rng))
    look = _skin(rng, melanin, age, male)
    look.update(_style(rng, melanin, age, male, look))
    look.update(_light(rng))
    look.update(_picture(rng, melanin))
    return Scene(weights=weights, age=age, male=male, melanin=melanin, **look)


def _shape(head: Head, rng, melanin: float, male: float, old: float) -> dict[str, float]:
    race = rng.dirichlet([0.15 + 1.6 * melanin**2, 0.7, 0.25 + 1.2 * (1 - melanin)])
    weight, muscle = np.clip(rng.normal(0, [0.45, 0.35]), -1, 1)
    weights = macro_mixture(tuple(race), male, old, weight, muscle)
    amounts = rng.normal(0, 0.25, len(head.traits))
    jitter = rng.normal(0, 0.04, (len(head.traits), 2))
    picks = rng.integers(0, 2**16, len(head.traits))
    amounts += [_BIAS.get(trait, 0.0) for trait in head.traits]
    for (trait, ways), amount, sides, pick in zip(
        head.traits.items(), amounts.tolist(), jitter.tolist(), picks.tolist()
    ):
        if trait.startswith("head/"):
            amount *= 0.55
        if len(ways) == 1 and amount < 0:
            continue
        way = ways[pick % len(ways)] if len(ways) > 2 else ways[int(amount > 0) % len(ways)]
        for name, side in zip(way, sides):
            weights[name] = min(max(abs(amount) + side, 0.0), 1.0)
    return weights


def _expression(rng) -> dict[str, float]:
    out: dict[str, float] = {}
    mood = rng.random()
    if mood < 0.5:  # a smile, often with teeth
        smile, teeth = rng.uniform(0.35, 1.0), rng.random() < 0.7
        pair = {"mouthSmile": smile, "cheekSquint": 0.6 * smile, "eyeSquint": 0.4 * smile * rng.random()}
        if teeth:
            pair |= {"mouthUpperUp": rng.uniform(0.3, 0.8), "mouthLowerDown": rng.uniform(0.2, 0.7)}
            out["jawOpen"] = rng.uniform(0.0, 0.2)
    elif mood < 0.62:  # speaking, surprise
        pair = {"mouthSmile": max(0, rng.normal(0, 0.2)), "mouthLowerDown": rng.uniform(0, 0.4)}
        out |= {"jawOpen": rng.uniform(0.1, 0.5), "mouthFunnel": max(0, rng.normal(0, 0.3))}
    elif mood < 0.7:  # displeased
        pair = {
            "mouthFrown": rng.uniform(0.1, 0.6),
            "browDown": rng.uniform(0.1, 0.6),
            "mouthPress": rng.uniform(0, 0.4),
        }
    else:
        pair = {"mouthSmile": max(0, rng.normal(0.05, 0.1)), "mouthPress": max(0, rng.normal(0, 0.15))}
    pair["eyeBlink"] = max(pair.get("eyeBlink", 0), rng.normal(-0.05, 0.15), 0)
    pair.setdefault("browDown", max(0, rng.normal(-0.1, 0.2)))
    pair["browOuterUp"] = max(0, rng.normal(-0.1, 0.25))
    out["browInnerUp"] = max(0, rng.normal(-0.05, 0.2))
    for name, value in pair.items():
        lopsided = rng.normal(0, 0.06)
        for side, sign in (("Left", 1), ("Right", -1)):
            out[name + side] = value * (1 + sign * lopsided)
    out["mouthLeft"], out["mouthRight"] = np.maximum(0, [lean := rng.normal(0, 0.05), -lean])
    return {f"unit/{name}": float(np.clip(value, 0, 1)) for name, value in out.items()}


def _skin(rng, melanin: float, age: float, male: float) -> dict:
    skin = np.array([np.interp(melanin, _SKIN[:, 0], _SKIN[:, k]) for k in (1, 2, 3)])
    skin = skin * (1 + rng.normal(0, 0.03)) * (1 + rng.normal(0, [0.02, 0.015, 0.03]))
    aged = np.clip((age - 28) / 50, 0, 1)
    makeup = float(rng.random() < 0.5) * rng.uniform(0.2, 1) * (male < 0.4)
    natural = skin * np.array([0.9, 0.68, 0.66]) * (1 - 0.08 * melanin) + [5, 0, 3]
    stick = np.array([rng.uniform(110, 200), rng.uniform(25, 80), rng.uniform(45, 100)])
    cool = rng.random(3) ** [1.0, 1.0, 1.0]
    return {
        "skin": skin,
        "redness": rng.uniform(0.3, 1.2),
        "freckles": max(0.0, rng.normal(-0.3, 0.6)) * (melanin < 0.4),
        "blemish": rng.uniform(0.3, 1.0) + 0.4 * aged,
        "shine": rng.uniform(0.3, 1.2),
        "wrinkles": aged * rng.uniform(0.4, 1.2, 3) + 0.08 * cool,
        "sockets": rng.uniform(0.1, 0.5) + 0.35 * aged * rng.random(),
        "lip_color": natural * (1 - 0.6 * makeup) + 0.6 * makeup * stick,
        "makeup": makeup,
    }


def _style(rng, melanin: float, age: float, male: float, look: dict) -> dict:
    odds = np.array([0.38, 0.24, 0.14, 0.1, 0.03 + 0.14 * (melanin < 0.45), 0.16 * (melanin < 0.4), 0.05])
    odds *= [1, 1, 1, 1, melanin < 0.6, melanin < 0.5, melanin < 0.4]
    color = _pick(rng, _HAIR, odds) * rng.uniform(0.8, 1.2)
    grey = np.clip(rng.normal((age - 52) / 22, 0.35), 0, 1) ** 1.3 * (male > 0.5 or rng.random() < 0.6)
    silver = np.array([168, 166, 164]) * rng.uniform(0.75, 1.15)
    tuft = np.clip(grey + rng.normal(0, 0.15), 0, 1)
    hair = color * (1 - grey) + silver * grey
    chances = {  # by style, for men and women
        "bald": (0.05 + 0.08 * (age > 45), 0.0), "buzz": (0.15, 0.01), "short": (0.3, 0.08), "swept": (0.2, 0.06),
        "fringe": (0.1, 0.14), "curly": (0.06 + 0.06 * melanin, 0.1 + 0.1 * melanin), "bob": (0.01, 0.18),
        "long": (0.04, 0.3), "tied": (0.01, 0.16),
    }  # fmt: skip
    odds = np.array([chances[s][0] * male + chances[s][1] * (1 - male) for s in HAIR_STYLES])
    style = _pick(rng, HAIR_STYLES, odds)
    beard = (
        _pick(rng, BEARDS, (0.42, 0.25, 0.07, 0.1, 0.16)) if rng.random() < np.clip(2 * male - 0.9, 0, 1) else "none"
    )
    hat = _pick(rng, HATS, (0.9, 0.035, 0.035, 0.03))
    if hat == "scarf" and male > 0.5:
        hat = "none"
    glasses = _pick(rng, GLASSES, (0.78, 0.06, 0.08, 0.06, 0.02))
    frame = np.array(_pick(rng, [(18, 17, 18), (60, 38, 24), (120, 116, 112), (150, 110, 60), (90, 20, 26)]))
    return {
        "brow_width": rng.uniform(0.03, 0.055) * (0.8 + 0.3 * male),
        "brow_density": rng.uniform(0.55, 1.0),
        "brow_tilt": rng.normal(0, 0.012),
        "brow_color": (0.75 * color + 0.1 * look["skin"]) * (1 - 0.6 * tuft) + silver * 0.5 * tuft,
        "iris": _pick(rng, _IRIS, [0.25, 0.25, 0.15, 0.1, 0.15, 0.1] if melanin < 0.4 else [0.7, 0.25, 0.05, 0, 0, 0])
        * rng.uniform(0.8, 1.2),
        "gaze": rng.normal(0, [0.13, 0.06]),
        "hair": style,
        "hair_color": hair,
        "hair_thickness": rng.uniform(0.6, 1.5),
        "hair_length": rng.random(),
        "hair_part": rng.uniform(0.1, 0.5) * _pick(rng, (-1, 1)),
        "hairline": rng.normal(0.0, 0.045) + 0.03 * male * (age > 45),
        "recede": male * np.clip(rng.normal((age - 45) / 60, 0.25), 0, 1),
        "hair_wave": rng.random(),
        "beard": beard,
        "beard_density": rng.uniform(0.55, 1.0),
        "beard_color": 0.8 * (color * (1 - tuft) + silver * tuft),
        "hat": hat,
        "hat_color": rng.uniform(15, 220, 3) * 0.6 + rng.uniform(10, 90),
        "glasses": glasses,
        "glasses_color": frame,
        "glasses_size": rng.uniform(0.9, 1.15),
        "cloth_color": 230 * rng.beta(0.6, 0.9) + rng.normal(0, 25, 3),
        "cloth_height": rng.uniform(-0.1, 0.35),
    }


def _light(rng) -> dict:
    warm = rng.normal(0, 0.08)
    return {
        "key": direction(rng.normal(0, 0.75), rng.uniform(0.05, 1.05)),
        "key_strength": rng.uniform(0.35, 1.0),
        "key_color": np.array([1 + warm, 1.0, 1 - warm]),
        "fill": direction(rng.uniform(-1.5, 1.5), rng.uniform(-0.3, 0.5)),
        "fill_strength": rng.uniform(0.05, 0.3),
        "ambient": rng.uniform(0.2, 0.5),
        "sky": 1 + rng.normal(0, 0.05, 3),
        "rim_strength": max(0.0, rng.normal(-0.1, 0.3)),
    }


def _picture(rng, melanin: float) -> dict:
    return {
        "yaw": float(np.clip(rng.normal(0, 0.24), -0.65, 0.65)),
        "pitch": float(np.clip(rng.normal(0, 0.1), -0.3, 0.3)),
        "roll": rng.normal(0, 0.06),
        "distance": rng.uniform(6.5, 18),
        "exposure": 0.47 * np.exp(rng.normal(0.06, 0.26)),
        "white_balance": 1 + rng.normal(0, [0.05, 0.02, 0.07]),
        "contrast": rng.uniform(0.1, 1.0),
        "saturation": rng.uniform(0.75, 1.2),
        "blur": rng.uniform(0.35, 0.9),
        "noise": 0.001 + 0.009 * rng.random() ** 2,
        "jpeg_quality": int(rng.integers(60, 101)),
        "background": _pick(rng, BACKGROUNDS, (0.25, 0.2, 0.25, 0.2, 0.1)),
        "background_colors": 240 * rng.beta(0.7, 1.1, (6, 1)) + rng.normal(0, 16, (1, 3)) + rng.normal(0, 10, (6, 3)),
        "offsets": rng.uniform(0, 512, (16, 2)),
    }
