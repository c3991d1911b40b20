"""The morphable head: MakeHuman's CC0 mesh and its shape targets as one linear sum."""

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np

from ofhkit.runtime.files import asset

RACES = ("african", "asian", "caucasian")
BODY, EYE_L, EYE_R, TEETH_UPPER, TEETH_LOWER, TONGUE, HAIR_GUIDE = range(7)  # values of the array ``group``
_UNUSED = re.compile(r"head/head-(trans|age|back)|eyebrows/eyebrows-trans-(forward|backward)|macro/|unit/")
_DIRECTION = re.compile(r"-(incr|decr|up|down|in|out|forward|backward|convex|concave|compress|uncompress)$")


class Head:
    """Mesh, targets and landmark ids.

    Coordinates: x to the image's right (the subject's left), y up, z towards the viewer; 1 unit = 10 cm.

    Attributes:
        vertices: (V, 3) float32, the base mesh, without the macro mixture.
        triangles: (T, 3) int32; hair guide and unseen trunk are left out.
        num_front: the first so many triangles can be seen from the front; the others are the back and the trunk.
        group: (T,) uint8, the part a triangle belongs to (``BODY``, ``EYE_L``...).
        uv: (T, 3, 2) float32, texture coordinates of the mesh's own masks, v up.
        landmarks: (68,) int32 vertex ids, iBUG order, 0 = image left.
        mirror: (V,) int32 vertex id of the mirror image.
        mean: (V, 3) float32, the average adult.
        traits: {trait: per direction the targets that move it (one, or a left and a right one)}.
    """

    def __init__(self, path: Path):
        data = np.load(path)
        self.vertices = data["verts"]
        corners = self.vertices[data["tris"]]
        keep = (data["group"] != HAIR_GUIDE) & (corners[:, :, 1].mean(1) > 5.1)
        facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        front = facing[:, 2] > -0.8 * np.linalg.norm(facing, axis=1)
        front &= (corners[:, :, 2].mean(1) > -0.1) & (corners[:, :, 1].mean(1) > 5.4)
        order = np.concatenate([np.nonzero(keep & front)[0], np.nonzero(keep & ~front)[0]])
        self.num_front = int((keep & front).sum())
        self.triangles = data["tris"][order].astype(np.int32)
        self.group = data["group"][order]
        self.uv = data["uv_per_tri"][order].astype(np.float32)
        self.landmarks = data["lm68"].astype(np.int32)
        self.mirror = data["mirror"].astype(np.int32)
        self.masks = {name[5:]: data[name] for name in data.files if name.startswith("mask_")}
        ids, delta = data["t_idx"].astype(np.int32), data["t_val_mm"].astype(np.float32) * np.float32(1e-3)
        bounds = data["t_off"].astype(np.int64)
        targets = {str(name): (ids[a:b], delta[a:b]) for name, a, b in zip(data["names"], bounds[:-1], bounds[1:])}
        self.traits = _group_traits(targets)
        self._prepare_sum(targets)
        self._mend_jaw()
        self.eye_vertices = [np.unique(self.triangles[self.group == g]) for g in (EYE_R, EYE_L)]  # image left first
        self.mean = self.shape(macro_mixture((1 / 3, 1 / 3, 1 / 3), male=0.5, old=0.0, weight=0.0, muscle=0.0))

    def _prepare_sum(self, targets: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
        """Lay out the targets for :meth:`shape`: broad ones as whole meshes, all others as one list of moves."""
        broad = [name for name, (ids, _) in targets.items() if len(ids) > 1000]
        narrow = [name for name in targets if name not in broad]
        self._order = {name: k for k, name in enumerate(broad + narrow)}
        self._broad = np.zeros((len(broad), *self.vertices.shape), np.float32)
        for whole, name in zip(self._broad, broad):
            whole[targets[name][0]] = targets[name][1]
        self._ids = np.concatenate([targets[name][0] for name in narrow])
        self._moves = np.ascontiguousarray(np.concatenate([targets[name][1] for name in narrow]).T)
        lengths = [len(targets[name][0]) for name in narrow]
        self._owner = np.repeat(np.arange(len(broad), len(targets)), lengths)

    def _mend_jaw(self) -> None:
        """Move jaw points 6 and 10, whose vertices lie under the jaw, to its edge half-way between their neighbours."""
        body = np.unique(self.triangles[self.group == BODY])
        middle = self.vertices[self.landmarks[[9, 11]]].mean(0)
        self.landmarks[10] = body[np.argmin(((self.vertices[body] - middle) ** 2).sum(1))]
        self.landmarks[6] = self.mirror[self.landmarks[10]]

    def shape(self, weights: dict[str, float]) -> np.ndarray:
        """Return the mesh for the given target weights.

        Shape:
            - weights: {target: weight}; unknown names are a ``KeyError``
            - output: (V, 3) float32
        """
        out = self.vertices.copy()
        amounts = np.zeros(len(self._order), np.float32)
        for name, weight in weights.items():
            amounts[self._order[name]] = weight
        for k in np.nonzero(np.abs(amounts[: len(self._broad)]) > 0.01)[0]:
            out += amounts[k] * self._broad[k]
        strength = amounts.take(self._owner)
        for k in range(3):
            out[:, k] += np.bincount(self._ids, self._moves[k] * strength, len(out)).astype(np.float32)
        return out

    def normals(self, points: np.ndarray) -> np.ndarray:
        """Area-weighted unit vertex normals; ``(V, 3)`` float32 in, the same out."""
        a, b, c = (points[self.triangles[:, k]] for k in range(3))
        u, v = b - a, c - a
        out = np.empty_like(points)
        corner = self.triangles.ravel()
        for k, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
            face = u[:, i] * v[:, j] - u[:, j] * v[:, i]
            out[:, k] = np.bincount(corner, np.repeat(face, 3), len(points))
        return out / (np.sqrt((out * out).sum(1, keepdims=True)) + 1e-9)


def _group_traits(targets: Iterable[str]) -> dict[str, list[list[str]]]:
    """Collect the local targets by trait: per direction the list of targets (one, or a left and a right one)."""
    traits: dict[str, dict[str, list[str]]] = {}
    for name in targets:
        if not _UNUSED.match(name):
            sideless = re.sub(r"/[lr]-", "/", name)
            traits.setdefault(_DIRECTION.sub("", sideless), {}).setdefault(sideless, []).append(name)
    return {trait: [ways[way] for way in sorted(ways)] for trait, ways in sorted(traits.items())}


def macro_mixture(race: tuple[float, ...], male: float, old: float, weight: float, muscle: float) -> dict[str, float]:
    """Weights of the macro targets.

    Shape:
        - race: shares of (african, asian, caucasian), sum 1
        - male, old: 0..1
        - weight, muscle: -1..1
    """
    out = {}
    levels = [{"min": max(0.0, -t), "average": 1 - abs(t), "max": max(0.0, t)} for t in (muscle, weight)]
    for sex, share in (("male", male), ("female", 1 - male)):
        for age, part in (("old", old), ("young", 1 - old)):
            for name, r in zip(RACES, race):
                out[f"macro/{name}-{sex}-{age}"] = r * share * part
            for m, a in levels[0].items():
                for w, b in levels[1].items():
                    out[f"macro/universal-{sex}-{age}-{m}muscle-{w}weight"] = share * part * a * b
    return out


@lru_cache(maxsize=1)
def load_head() -> Head:
    """The package's head, read once a process."""
    return Head(asset("facemodel_cc0.npz"))
