"""The unrolled mean head: where lips, brows, beard, wrinkles... lie, painted once from the mesh's own geometry.

The texture is a cylinder round the head: columns follow the azimuth, rows the height. Every person shares these maps;
what differs is how strongly each is used.
"""

from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np

from ofhkit.rendering.head import BODY, Head, load_head
from ofhkit.rendering.raster import rasterise

WIDTH, HEIGHT = 640, 512
_AXIS_Z, _MAX_AZIMUTH = 0.35, 2.0  # the cylinder: axis (x = 0, z = .35), azimuth in radians
_LOW_Y, _HIGH_Y = 5.5, 8.6
CHANNELS = (
    "lips", "redness", "nose", "oil",
    "brow_along", "brow_across", "lash", "socket",
    "forehead_lines", "eye_lines", "mouth_lines", "neck",
    "beard", "goatee", "moustache", "ear",
    "hairline", "freckles", "cloth", "shaved",
    "lip_side",
)  # fmt: skip
# Hairline of the mean head: azimuth (radians from the front) -> height
HAIRLINE = np.array([
    (0.00, 7.93), (0.25, 7.94), (0.45, 7.90), (0.58, 7.78), (0.70, 7.58), (0.80, 7.42), (0.90, 7.28), (0.97, 7.10),
    (1.12, 7.08), (1.19, 7.40), (1.60, 7.50), (1.80, 7.30), (2.00, 6.90), (2.40, 6.60), (3.15, 6.45),
])  # fmt: skip


def azimuth(points: np.ndarray) -> np.ndarray:
    """Angle round the head's axis, 0 = front, positive to the image's right; radians."""
    return np.arctan2(points[..., 0], points[..., 2] - _AXIS_Z)


class Atlas:
    """Texture coordinates and maps of the mean head.

    Attributes:
        coordinates: (V, 2) float32 texture pixel (x, y) of each vertex.
        planes: {channel: (HEIGHT * WIDTH / 2,) float32}, the image's right half of each of ``CHANNELS``.
        inside: (V,) float32, 1 = inside of the mouth.
    """

    def __init__(self, head: Head):
        mean = head.mean
        self.coordinates = np.stack(
            [
                (np.clip(azimuth(mean), -_MAX_AZIMUTH, _MAX_AZIMUTH) / _MAX_AZIMUTH + 1) * (WIDTH - 1) / 2,
                np.clip((_HIGH_Y - mean[:, 1]) / (_HIGH_Y - _LOW_Y), 0, 1) * (HEIGHT - 1),
            ],
            1,
        ).astype(np.float32)
        self.inside = _corner_maximum(head, "inside-mouth")
        body = head.group == BODY
        body &= self.inside[head.triangles].mean(1) < 0.6
        turn = azimuth(mean)[head.triangles]
        body &= np.ptp(turn, axis=1) < 1.5  # not across the seam at the back
        radius = np.hypot(mean[:, 0], mean[:, 2] - _AXIS_Z)
        triangles = head.triangles[body]
        seen = rasterise(self.coordinates, radius, triangles, max(WIDTH, HEIGHT), facing=0)
        half = np.s_[:HEIGHT, WIDTH // 2 : WIDTH]  # the mean head is symmetric: paint x >= 0 and mirror it
        corner, weights = triangles[seen.triangle[half]], [w[half][..., None] for w in seen.weights]
        points = sum(mean[corner[..., k]] * weights[k] for k in range(3))
        uv = sum(head.uv[body][seen.triangle[half], k] * weights[k] for k in range(3))
        paint = _paint(points, mean[head.landmarks], _sample(head, "lips", uv), _sample(head, "ears", uv))
        paint["socket"] = np.maximum(paint["socket"], 0.35 * _sample(head, "eyelids", uv))
        right = np.stack([np.where(seen.covered[half], paint[name], 0) for name in CHANNELS], -1).astype(np.float32)
        self.planes = {name: right[..., k].ravel() for k, name in enumerate(CHANNELS)}


class Skin:
    """The atlas as it lies under the pixels of one rendering: ``skin['beard']`` is an image (H, W).

    Shape:
        - u, v: (H, W) float32 texture position at each pixel
    """

    def __init__(self, atlas: Atlas, u: np.ndarray, v: np.ndarray):
        self.u, self.v = u, v
        self._planes = atlas.planes
        column = np.abs(u - np.float32((WIDTH - 1) / 2)).astype(np.int32)
        self._place = ((v + np.float32(0.5)).astype(np.int32) * (WIDTH // 2) + column).astype(np.intp)
        self._images: dict[str, np.ndarray] = {}

    def __getitem__(self, channel: str) -> np.ndarray:
        if channel not in self._images:
            self._images[channel] = self._planes[channel].take(self._place)
        return self._images[channel]


def _sample(head: Head, mask: str, uv: np.ndarray) -> np.ndarray:
    image = head.masks[mask].astype(np.float32) / 255
    size = image.shape[0]
    x, y = uv[..., 0] * size - 0.5, (1 - uv[..., 1]) * size - 0.5
    return cv2.remap(image, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _corner_maximum(head: Head, mask: str) -> np.ndarray:
    out = np.zeros(len(head.vertices), np.float32)
    np.maximum.at(out, head.triangles.ravel(), _sample(head, mask, head.uv).ravel())
    return out


def _smooth(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, smooth between (``low`` may be the larger one)."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _to_line(p: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Distance of points (H, W, D) to a polyline (K, D)."""
    out = np.full(p.shape[:-1], np.inf)
    for a, b in pairwise(line):
        v = b - a
        t = np.clip(((p - a) * v).sum(-1) / (v * v).sum(), 0, 1)
        out = np.minimum(out, np.sqrt(((p - a - t[..., None] * v) ** 2).sum(-1)))
    return out


def _blob(p: np.ndarray, centre: np.ndarray, width: float) -> np.ndarray:
    """A Gaussian round ``centre`` and round its mirror image."""
    mirrored = centre * np.float32([-1, 1, 1])
    return np.maximum(*(np.exp(-((p - c) ** 2).sum(-1) / (2 * width**2)) for c in (centre, mirrored)))


def _shifted(point: np.ndarray, x: float, y: float, z: float = 0.0) -> np.ndarray:
    return point + np.array([x, y, z], point.dtype)


def _groove(distance: np.ndarray, width: float) -> np.ndarray:
    """Height profile of a crease: a notch with raised shoulders."""
    r = (distance / width) ** 2
    return (0.6 * r - 1) * np.exp(-r)


def _paint(p: np.ndarray, lm: np.ndarray, lips: np.ndarray, ears: np.ndarray) -> dict[str, np.ndarray]:
    """Draw every channel for x >= 0; ``p`` (H, W, 3) surface points, ``lm`` (68, 3) the mean head's landmarks."""
    q = p.astype(np.float32)
    x, y, z = q[..., 0], q[..., 1], q[..., 2]
    flat = q[..., :2]
    angle = np.abs(azimuth(p))
    out = {"lips": lips, "ear": ears}
    front = _smooth(z, 0.7, 0.95)

    cheek = lm[[14, 35, 54]].mean(0)
    out["redness"] = (
        0.8 * _blob(q, cheek, 0.2) + 0.9 * _blob(q, lm[30], 0.11) + 0.3 * _blob(q, lm[8], 0.14) + 0.5 * ears
    )
    out["oil"] = np.clip(
        _blob(q, lm[30], 0.12) + 0.9 * _blob(q, lm[28], 0.1)
        + 0.8 * _blob(q, _shifted(lm[[24, 27]].mean(0), -0.1, 0.25), 0.25)
        + 0.6 * _blob(q, _shifted(cheek, 0.03, 0.12, 0.1), 0.14) + 0.5 * _blob(q, _shifted(lm[8], 0, 0.08), 0.1), 0, 1,
    )  # fmt: skip
    bridge = np.interp(y, [lm[33, 1] - 0.02, lm[30, 1], lm[28, 1], lm[27, 1] + 0.02], [0.17, 0.19, 0.1, 0.07])
    out["nose"] = _smooth(bridge - x, -0.012, 0.012) * (y > lm[33, 1] - 0.035) * (y < lm[27, 1] + 0.02) * front
    out["freckles"] = np.clip(_blob(q, _shifted(cheek, 0, 0.1), 0.2) + _blob(q, lm[29], 0.18), 0, 1)

    brow = lm[22:27]
    crest = np.polynomial.Polynomial.fit(brow[:, 0], brow[:, 1], 2)
    out["brow_along"] = (x - brow[0, 0]) / (brow[-1, 0] - brow[0, 0])
    out["brow_across"] = np.where(front > 0.2, y - crest(np.clip(x, 0, 0.62)), 1.0)
    eye = lm[42:48]
    upper, lower = _to_line(q, eye[[0, 1, 2, 3]]), _to_line(q, eye[[3, 4, 5, 0]])
    out["lash"] = np.exp(-((upper / 0.02) ** 2)) + 0.4 * np.exp(-((lower / 0.014) ** 2))
    centre = eye.mean(0)
    out["socket"] = np.clip(
        0.8 * np.exp(-((_to_line(q, (eye[[3, 4, 5, 0]] - [0, 0.09, 0])) / 0.07) ** 2)) + 0.5 * _blob(q, eye[0], 0.08)
        + 0.35 * _blob(q, _shifted(centre, 0, 0.09), 0.1), 0, 1,
    )  # fmt: skip

    rise = y - crest(np.clip(x, 0, 0.45))
    waves = np.cos(2 * np.pi * (rise + 0.015 * np.sin(9 * x)) / 0.125)
    sharp = -np.exp(-((np.arccos(np.clip(waves, -1, 1)) - np.pi) ** 2) / 0.22)
    out["forehead_lines"] = sharp * _smooth(rise, 0.1, 0.2) * _smooth(rise, 0.6, 0.45) * _smooth(x, 0.5, 0.25) * front
    frown = lm[22] * [0.45, 1, 1] + [0, -0.03, 0]
    out["forehead_lines"] += (
        0.9 * _groove(_to_line(flat, np.stack([frown, _shifted(frown, 0.02, 0.16)])[:, :2]), 0.022) * front
    )
    corner = eye[3] + [0.03, 0, 0]
    dx, dy = x - corner[0], y - corner[1]
    ray, reach = np.arctan2(dy, dx), np.hypot(dx, dy)
    fan = -np.exp(-(np.sin(ray * 4.6 + 0.4) ** 2) / 0.12) * _smooth(reach, 0.02, 0.07) * _smooth(reach, 0.26, 0.12)
    out["eye_lines"] = 0.8 * fan * (np.abs(ray) < 1.25)
    under = eye[[3, 4, 5, 0]] + [[-0.01, -0.08, 0], [0, -0.11, 0], [0, -0.11, 0], [0, -0.04, 0]]
    out["eye_lines"] += 0.9 * _groove(_to_line(flat, under[:, :2]), 0.028) * front
    fold = np.array(
        [lm[35, :2] + [0.05, 0.06], lm[35, :2] + [0.13, -0.03], lm[54, :2] + [0.1, 0.03], lm[54, :2] + [0.11, -0.1]]
    )
    out["mouth_lines"] = _groove(_to_line(flat, fold), 0.035) * front
    line = np.array([lm[54, :2] + [0.03, -0.02], lm[54, :2] + [0.06, -0.16]])
    out["mouth_lines"] += 0.5 * _groove(_to_line(flat, line), 0.025) * front

    jaw = lm[8:17]
    jaw_angle = azimuth(jaw)
    order = np.argsort(jaw_angle)
    edge = np.interp(angle, np.append(jaw_angle[order], 2.2), np.append(jaw[order, 1], 7.25))
    out["neck"] = _smooth(edge - y, -0.012, 0.012)
    cheek_line = np.interp(angle, [0.0, 0.28, 0.45, 0.8, 1.1, 1.3], [6.85, 6.72, 6.62, 6.75, 6.98, 7.1])
    moustache = (
        _smooth(lm[33, 1] - 0.012 - y, -0.01, 0.03)
        * _smooth(y, lm[54, 1] - 0.01, lm[54, 1] + 0.02)
        * _smooth(x, 0.32, 0.25)
        * front
    )
    jaw_zone = _smooth(cheek_line - y, -0.03, 0.06) * _smooth(y, edge - 0.26, edge - 0.12) * _smooth(angle, 1.36, 1.25)
    skin = 1 - np.clip(lips * 1.4, 0, 1)
    soul = _smooth(
        np.hypot(x / 0.13, (y - (lm[57, 1] - 0.05)) / 0.035), 0.8, 1.3
    )  # bare patches beside the lower lip's tuft
    bare = 1 - (1 - soul) * _smooth(x, 0.02, 0.05)
    ring = _smooth(np.hypot(x / 0.34, (y - 6.47) / 0.37), 1.05, 0.92)
    out["moustache"] = moustache * skin
    out["beard"] = np.maximum(jaw_zone * bare, moustache) * skin
    out["goatee"] = np.maximum(ring * jaw_zone * bare, moustache) * skin
    out["shaved"] = cv2.GaussianBlur(np.maximum(jaw_zone, moustache) * skin, (0, 0), 5)
    out["hairline"] = y - np.interp(angle, HAIRLINE[:, 0], HAIRLINE[:, 1])
    out["lip_side"] = y - np.interp(x, [0, lm[54, 0]], [(lm[62, 1] + lm[66, 1]) / 2, lm[54, 1]])
    out["cloth"] = 5.95 - 0.25 * _smooth(x, 0.1, 0.7) + 0.35 * _smooth(z, 1.0, 0.2) - y
    return out


@lru_cache(maxsize=1)
def load_atlas() -> Atlas:
    """The atlas of the package's head, painted once a process."""
    return Atlas(load_head())
