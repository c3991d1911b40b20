"""Run every method on one face and score what can be scored."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from ofhkit.errors import OfhkitError
from ofhkit.functional.geometry import nrmse
from ofhkit.functional.image_quality import psnr, ssim
from ofhkit.functional.images import to_float, to_uint8
from ofhkit.functional.resample import downsample_cubic
from ofhkit.functional.task import HR_SIZE, LR_SIZE, MAX_HOLE, SCALE
from ofhkit.metrics import LPIPS, NRMSE, PSNR, SSIM, Consistency
from ofhkit.models.inference import run_batches
from ofhkit.models.losses.perceptual import lpips_maps, pool_lpips
from ofhkit.models.uncertainty import hidden as invented
from ofhkit.registry import PRIORS
from ofhkit.restoration.composition import draw_uncertainty
from ofhkit.restoration.faces import HIDDEN_SHARE, crop_and_downsample, scaling
from ofhkit.restoration.page.inputs import Opened
from ofhkit.restoration.page.methods import Method
from ofhkit.zoo import DEFAULT_MODEL

__all__ = ["SCORES", "Figure", "Results", "read_mask", "read_points", "restore"]

ANSWERS = 6
_DIGITS = re.compile(f"[0-9a-f]{{{HR_SIZE * HR_SIZE // 4}}}")
SCORES = {metric.name: metric for metric in (PSNR, SSIM, LPIPS, NRMSE, Consistency)}


@dataclass(frozen=True)
class Figure:
    """One picture of the comparison.

    Attributes:
        image: (128, 128, 3) or (16, 16, 3) uint8.
        completed: the tiny face after inpainting, (16, 16, 3) uint8; None where the picture is no method's.
        scores: of :data:`SCORES`; what cannot be known is missing.
        landmarks: (68, 2) pixels of ``image``, read by a network or exact; None for a tiny face.
        seconds: what it took.
    """

    name: str
    image: np.ndarray
    note: str = ""
    completed: np.ndarray | None = None
    scores: dict[str, float] = field(default_factory=dict)
    landmarks: np.ndarray | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Results:
    """A face and what every method makes of it.

    Attributes:
        lr: (16, 16, 3) uint8, black in the hole: all that a method sees.
        hidden: (16, 16) bool.
        truth: None where nobody knows it.
        methods: in the order given.
        warnings: what to keep in mind.
        doubts: how sure the default method is, and other answers of it; empty where no method can say.
        photo: the photograph before and after, (H, W, 3) uint8; empty where there is none.
    """

    name: str
    lr: np.ndarray
    hidden: np.ndarray
    truth: Figure | None
    methods: tuple[Figure, ...]
    warnings: tuple[str, ...] = ()
    doubts: tuple[Figure, ...] = ()
    photo: tuple[np.ndarray, ...] = ()


def read_mask(text: object) -> np.ndarray:
    """Turn the painter's answer, a bit a pixel in hexadecimal digits, into a (128, 128) bool mask.

    Raises:
        OfhkitError: it is something else.

    >>> int(read_mask('8' + '0' * 4095).sum())
    1
    """
    if not isinstance(text, str) or not _DIGITS.fullmatch(text):
        raise OfhkitError("the painted hole did not arrive; reload the page and paint it again")
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8)).reshape(HR_SIZE, HR_SIZE).astype(bool)


def read_points(points: object) -> np.ndarray:
    """Turn the painter's five clicked points, fractions of width and height, into (5, 2).

    Raises:
        OfhkitError: it is something else.
    """
    pairs = points if isinstance(points, list) and len(points) == 5 else []
    numbers = [n for pair in pairs if isinstance(pair, list) and len(pair) == 2 for n in pair]
    if len(numbers) != 10 or not all(type(n) in (int, float) and 0 <= n <= 1 for n in numbers):
        raise OfhkitError("the five points did not arrive; click them again")
    return np.array(numbers, float).reshape(5, 2)


@torch.no_grad()
def restore(opened: Opened, hidden: np.ndarray, intact: bool, methods: Sequence[Method]) -> Results:
    """Hide a part of a face and let every method restore it.

    Args:
        hidden: (128, 128) bool; a pixel of the small face is hidden with an eighth of its pixels.
        intact: the picture shows the true face under the hole, so that results are scored against it. Otherwise what is
            under the hole is kept from leaking over its rim before the face is shrunk.

    Raises:
        OfhkitError: everything is hidden.
    """
    if opened.lost:
        raise OfhkitError("no face was found here; click its five points first")
    shares = hidden.reshape(LR_SIZE, SCALE, LR_SIZE, SCALE).mean((1, 3))
    cells = shares >= HIDDEN_SHARE
    if cells.all():
        raise OfhkitError("everything is hidden: there is nothing to go by; erase some of the hole")
    truth = to_float(opened.face)[None] if intact and opened.has_truth else None
    if opened.tiny:
        lr = to_float(opened.face)[None]
    elif truth is not None:
        lr = downsample_cubic(truth).clamp(0, 1)
    else:
        lr = crop_and_downsample(opened.face, hidden, scaling(HR_SIZE)).lr[None]
    mask = torch.from_numpy(cells)[None, None].float()
    figures = tuple(_figure(method, lr, mask, truth, opened) for method in methods)
    area = int(cells.sum())
    warnings = []
    if area > MAX_HOLE:
        warnings.append(f"{area} of 256 pixels are hidden; the methods are trained on {MAX_HOLE} at the most")
    shown = None
    if truth is not None:
        points = opened.landmarks if opened.landmarks is not None else _read(truth)
        shown = Figure("The true face", opened.face, landmarks=points)
    return Results(
        opened.name, to_uint8((lr * (1 - mask))[0]), cells, shown, figures, tuple(warnings), _doubts(methods, lr, mask)
    )


def _figure(method: Method, lr: Tensor, mask: Tensor, truth: Tensor | None, opened: Opened) -> Figure:
    start = time.perf_counter()
    out = run_batches(method.model, lr, mask)
    seconds = time.perf_counter() - start
    points = _read(out.sr)
    scores = {"Consistency": float(out.consistency[0])}
    if truth is not None:
        exact = opened.landmarks if opened.landmarks is not None else _read(truth)
        scores = {
            "PSNR": psnr(out.sr, truth, 1.0).item(),
            "SSIM": ssim(out.sr, truth, 1.0).item(),
            "LPIPS": pool_lpips(lpips_maps(out.sr, truth), truth).item(),
            "NRMSE": nrmse(torch.from_numpy(points)[None].float(), torch.from_numpy(exact)[None].float()).item(),
            **scores,
        }
    return Figure(method.name, to_uint8(out.sr[0]), method.note, to_uint8(out.completed[0]), scores, points, seconds)


def _doubts(methods: Sequence[Method], lr: Tensor, mask: Tensor) -> tuple[Figure, ...]:
    able = [m for m in methods if m.model.uncertainty is not None and hasattr(m.model.inpainter, "draw")]
    if not able or not mask.any():
        return ()
    method = next((m for m in able if m.name == DEFAULT_MODEL), able[0])
    out = run_batches(method.model, lr, mask, uncertainty=True, samples=ANSWERS)
    drawn = draw_uncertainty(out.uncertainty[0].numpy(), invented(mask, out.sr)[0, 0].numpy())
    side = (drawn.shape[0] - drawn.shape[1]) // 2
    square = np.pad(drawn, ((0, 0), (side, side), (0, 0)), constant_values=255)
    sure = Figure("How sure it is", square, f"{method.name}: standard deviation, the hole outlined")
    others = (Figure(f"Another answer {i}", to_uint8(sr)) for i, sr in enumerate(out.samples[0], 1))
    return (sure, *others)


@lru_cache(maxsize=1)
def _landmarks() -> nn.Module:
    return PRIORS.build(dict(type="FaceAPI68")).requires_grad_(False).eval()


def _read(face: Tensor) -> np.ndarray:
    """(68, 2) by the pretrained network."""
    return _landmarks()(face)[0].numpy()
