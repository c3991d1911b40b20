"""What people meet before a face: strokes, ellipses, glasses, masks, hands, text, dropouts; and what it looks like.

A shape is drawn at 128x128 as a pure function of (seed, key). Asked for the small face's mask, it hides every pixel of
which it covers an eighth, as in :mod:`ofhkit.restoration`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ofhkit.functional.masks import hash_integers
from ofhkit.functional.task import HR_SIZE
from ofhkit.registry import DEGRADATIONS

__all__ = ["Choice", "DrawnShape", "as_jpeg", "cover", "enlarge", "normal_noise"]

_SHARE = 1 / 8  # of a pixel of the small face, from which on it counts as hidden
_WORDS = ("SAMPLE", "HELLO", "2024", "photo", "LIVE", "draft copy", "www.")


def cover(fine: Tensor, size: int) -> Tensor:
    """The mask (N, 1, size, size) of the small face that a mask of the large one (N, 1, H, W) means."""
    return (F.avg_pool2d(fine, fine.shape[-1] // size) >= _SHARE).float()


def enlarge(mask: Tensor, scale: int) -> Tensor:
    """A mask (N, 1, h, w) in larger pixels: (N, 1, scale*h, scale*w)."""
    return mask.repeat_interleave(scale, 2).repeat_interleave(scale, 3)


def normal_noise(keys: Tensor, seed: int, like: Tensor) -> Tensor:
    """Standard normal noise for every key, as ``like`` (N, C, H, W)."""
    drawn = [np.random.default_rng((seed, key, 2)).standard_normal(like.shape[1:], np.float32) for key in keys.tolist()]
    return torch.from_numpy(np.stack(drawn)).to(like)


def as_jpeg(images: Tensor, quality: int) -> Tensor:
    """What JPEG of a quality from 1 to 100 makes of images (N, 3, H, W) in [0, 1]."""
    out = []
    for image in (images.clamp(0, 1) * 255).round().byte().cpu().permute(0, 2, 3, 1).numpy():
        coded = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        out.append(cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1].transpose(2, 0, 1))
    return torch.from_numpy(np.stack(out)).to(images) / 255


class DrawnShape(ABC):
    """A shape that is drawn with a random generator of its own for every key."""

    @abstractmethod
    def draw(self, canvas: np.ndarray, rng: np.random.Generator) -> None:
        """Draw 1 into a canvas (128, 128) uint8 of 0, where the face is hidden."""

    def __call__(self, keys: Tensor, seed: int, size: int) -> Tensor:
        """Masks (N, 1, size, size), 1 = hidden, for keys (N,) int64; ``size`` divides 128."""
        canvases = np.zeros((len(keys), 1, HR_SIZE, HR_SIZE), np.uint8)
        for canvas, key in zip(canvases, keys.tolist()):
            self.draw(canvas[0], np.random.default_rng((seed, key)))
        fine = torch.from_numpy(canvases).float()
        return (fine if size == HR_SIZE else cover(fine, size)).to(keys.device)


def _int(values: Any) -> Any:
    return np.rint(values).astype(int).tolist()


@DEGRADATIONS.register_module()
class Strokes(DrawnShape):
    """One to three scribbles of a thick pen."""

    def draw(self, canvas: np.ndarray, rng: np.random.Generator) -> None:
        for _ in range(rng.integers(1, 4)):
            turns = rng.uniform(-1, 1, 5).cumsum() + rng.uniform(0, 2 * np.pi)
            steps = rng.uniform(12, 30, (5, 1)) * np.stack([np.cos(turns), np.sin(turns)], 1)
            points = np.rint(rng.uniform(20, 108, 2) + steps.cumsum(0)).astype(np.int32)
            cv2.polylines(canvas, [points], False, 1, int(rng.integers(7, 15)))


@DEGRADATIONS.register_module()
class Ellipse(DrawnShape):
    """One ellipse: a cup, a microphone, a ball."""

    def draw(self, canvas: np.ndarray, rng: np.random.Generator) -> None:
        cv2.ellipse(
            canvas, _int(rng.uniform(24, 104, 2)), _int(rng.uniform(14, 36, 2)), rng.uniform(0, 180), 0, 360, 1, -1
        )


@DEGRADATIONS.register_module()
class Sunglasses(DrawnShape):
    """Two dark glasses and a bridge, over the eyes of an aligned face."""

    def draw(self, canvas: np.ndarray, rng: np.random.Generator) -> None:
        shift, axes = rng.normal(0, 2, 2), _int(rng.uniform((15, 10), (22, 16)))
        left, right = (_int(np.array([x, 37]) + shift) for x in (39, 88))
        for centre in (left, right):
            cv2.ellipse(canvas, centre, axes, 0, 0, 360, 1, -1)
        cv2.line(canvas, left, right, 1, int(rng.integers(4, 8)))


@DEGRADATIONS.register_module()
class SurgicalMask(DrawnShape):
    """A cloth over nose, mouth and chin of an aligned face."""

    def draw(self, canvas: np.ndarray, rng: np.random.Generator) -> None:
        shape = np.array([(22, 62), (63, rng.uniform(50, 62)), (105, 62), (98, 104), (63, 122), (30, 104)], float)
        cv2.fillPoly(canvas, [np.rint(shape + rng.normal(0, 2.5, shape.shape)).astype(np.int32)], 1)


@DEGRADATIONS.register_module()
class Hand(DrawnShape):
    """A palm with four or five fingers that comes in from below or from a side."""

    def draw(self, canvas: np.ndarray, rng: np.random.Generator) -> None:
        palm, towards = rng.uniform((16, 70), (112, 112)), rng.uniform(-2.4, -0.7)
        cv2.ellipse(canvas, _int(palm), _int(rng.uniform(15, 20, 2)), np.degrees(towards), 0, 360, 1, -1)
        for angle in towards + np.linspace(-0.75, 0.75, rng.integers(4, 6)):
            tip = palm + rng.uniform(30, 42) * np.array([np.cos(angle), np.sin(angle)])
            cv2.line(canvas, _int(palm), _int(tip), 1, int(rng.integers(8, 11)))


@DEGRADATIONS.register_module()
class Text(DrawnShape):
    """A caption of one or two lines."""

    def draw(self, canvas: np.ndarray, rng: np.random.Generator) -> None:
        for _ in range(rng.integers(1, 3)):
            at, thick = _int(rng.uniform((-10, 30), (40, 120))), int(rng.integers(3, 7))
            cv2.putText(
                canvas, _WORDS[rng.integers(len(_WORDS))], at, cv2.FONT_HERSHEY_SIMPLEX, rng.uniform(0.8, 1.6), 1, thick
            )


@DEGRADATIONS.register_module()
class Dropouts(DrawnShape):
    """Scattered squares that were lost, of about a pixel of the small face."""

    def draw(self, canvas: np.ndarray, rng: np.random.Generator) -> None:
        for x, y in rng.integers(0, HR_SIZE, (rng.integers(8, 30), 2)):
            side = rng.integers(6, 12)
            canvas[y : y + side, x : x + side] = 1


@DEGRADATIONS.register_module()
class Choice:
    """One of several components for every key, each as often.

    Args:
        parts: occluders, or paints, or their configurations.
    """

    def __init__(self, parts: Sequence[Any]):
        self.parts = [DEGRADATIONS.build(part) for part in parts]

    def __call__(self, keys: Tensor, seed: int, what: Any) -> Tensor:
        chosen = hash_integers(len(self.parts), seed, keys, stream=7)
        out: Tensor | None = None
        for i, part in enumerate(self.parts):
            rows = (chosen == i).nonzero().squeeze(1)
            if len(rows):
                made = part(keys[rows], seed, what[rows] if isinstance(what, Tensor) else what)
                out = made.new_zeros(len(keys), *made.shape[1:]) if out is None else out
                out[rows] = made
        return torch.zeros(0) if out is None else out


def _noise(keys: Tensor, seed: int, sides: Sequence[int], mode: str) -> Tensor:
    """Uniform noise (N, 3, 128, 128) of cells of several sizes."""
    fields = []
    for key in keys.tolist():
        rng = np.random.default_rng((seed, key, 1))
        side = sides[rng.integers(len(sides))]
        cells = torch.from_numpy(rng.random((1, 3, side, side), np.float32))
        fields.append(F.interpolate(cells, size=(HR_SIZE, HR_SIZE), mode=mode))
    return torch.cat(fields).clamp(0, 1).to(keys.device)


@DEGRADATIONS.register_module()
class FlatPaint:
    """One color."""

    def __call__(self, keys: Tensor, seed: int, hr: Tensor) -> Tensor:
        colors = torch.stack([hash_integers(256, seed, keys, stream=8 + band) for band in range(3)], 1)
        return (colors / 255.0)[:, :, None, None].expand(-1, -1, *hr.shape[2:]).to(hr.dtype)


@DEGRADATIONS.register_module()
class NoisePaint:
    """Noise, of cells of two to eight pixels."""

    def __call__(self, keys: Tensor, seed: int, hr: Tensor) -> Tensor:
        return _noise(keys, seed, (16, 32, 64), "nearest").to(hr)


@DEGRADATIONS.register_module()
class TexturePaint:
    """Soft blotches, as of cloth or leaves."""

    def __call__(self, keys: Tensor, seed: int, hr: Tensor) -> Tensor:
        return _noise(keys, seed, (3, 5, 9, 17), "bicubic").to(hr)


@DEGRADATIONS.register_module()
class OtherFacePaint:
    """A part of the next face of the batch, from another place of it."""

    def __call__(self, keys: Tensor, seed: int, hr: Tensor) -> Tensor:
        across = 16 + 8 * int(hash_integers(12, seed, keys[:1], stream=9))
        return hr.roll((1, across), (0, -1))
