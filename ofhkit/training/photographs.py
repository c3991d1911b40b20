"""What restoring photographs learns: the prior at 128x128 in one pass, then a small network on its completions."""

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from ofhkit.data.packed import PackedFaces
from ofhkit.data.sampler import fetch
from ofhkit.functional.masks import random_rectangles
from ofhkit.functional.task import HR_SIZE
from ofhkit.models.inpainters import RefinedInpainter, SpectralInpainter
from ofhkit.models.losses.perceptual import lpips_maps
from ofhkit.runtime.progress import log

__all__ = ["fit_prior", "painted_holes", "train_refiner"]

_BATCH = 256
_SHARED = 8  # faces that a hole is painted on: together they are completed faster
_RATE, _WARM = 1e-3, 100  # learning rate, and steps until it is reached
_MIX = 0.5  # share of rectangles; the rest are ellipses and strokes


def fit_prior(faces: PackedFaces, rank: int) -> SpectralInpainter:
    """Fit the prior to all faces of a split, in one pass."""
    prior = SpectralInpainter(rank=rank)
    for start in range(0, len(faces), _BATCH):
        hr = fetch(faces, range(start, min(start + _BATCH, len(faces))))["hr"].float() / 255
        prior.partial_fit(hr, hr)
    prior.finalise()
    return prior.eval()


def painted_holes(keys: Tensor, seed: int, size: int = HR_SIZE) -> Tensor:
    """Draw a hole an image at full size, a function of (seed, key): half of them rectangles, else ellipses and strokes.

    Shape:
        keys (N,) int64 -> (N, 1, size, size) float32, 1 = hidden, 1/16 to 1/4 of the image

    >>> area = painted_holes(torch.arange(20), seed=0).mean((1, 2, 3)); bool(((area > 0.05) & (area < 0.3)).all())
    True
    """
    area = size * size
    boxes = random_rectangles(keys, seed, size, size // 8, size, area // 16, area // 4)
    for mask, key in zip(boxes, keys.tolist()):
        rng = np.random.default_rng((seed, key))
        while rng.random() > _MIX:
            drawn = _stroke(rng, size) if rng.random() < 0.5 else _ellipse(rng, size)
            if area // 16 < drawn.sum() < area // 4:
                mask[0] = torch.from_numpy(drawn)
                break
    return boxes


def _ellipse(rng: np.random.Generator, size: int) -> np.ndarray:
    x, y = (int(v) for v in rng.integers(0, size, 2))
    axes = tuple(int(v) for v in rng.integers(size // 8, size // 2, 2))
    return cv2.ellipse(np.zeros((size, size), np.uint8), (x, y), axes, float(rng.integers(180)), 0, 360, 1, -1)


def _stroke(rng: np.random.Generator, size: int) -> np.ndarray:
    points = rng.integers(0, size, (int(rng.integers(2, 5)), 2)).astype(np.int32)
    return cv2.polylines(np.zeros((size, size), np.uint8), [points], False, 1, int(rng.integers(size // 12, size // 4)))


@torch.no_grad()
def _completions(faces: PackedFaces, count: int, prior: SpectralInpainter, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """``count`` faces in random order, their holes and the prior's completions, as bytes."""
    order = np.random.default_rng(seed).permutation(len(faces))[:count]
    hr = torch.cat([fetch(faces, order[i : i + _BATCH])["hr"] for i in range(0, len(order), _BATCH)])
    mask = painted_holes(torch.arange(len(order)) // _SHARED, seed).to(torch.uint8)
    filled = []
    for start in range(0, len(order), _BATCH):
        part = slice(start, start + _BATCH)
        filled.append((prior(hr[part].float() / 255, mask[part].float()) * 255).round().to(torch.uint8))
        log.info(f"completed {start + len(filled[-1])} of {len(order)} faces")
    return hr, mask, torch.cat(filled)


def train_refiner(
    faces: PackedFaces,
    prior: SpectralInpainter,
    count: int,
    minutes: float,
    perceptual: float = 0.02,
    batch_size: int = 8,
    seed: int = 0,
    save: Callable[[RefinedInpainter], Path] | None = None,
) -> RefinedInpainter:
    """Train the network on completions of ``count`` faces for some minutes; the prior stays as it is.

    The loss is the mean squared error over the hole and, from a third of the time on, LPIPS of the whole face.
    """
    torch.manual_seed(seed)
    hr, mask, filled = _completions(faces, count, prior, seed)
    network = RefinedInpainter(prior)
    weights = [p for p in network.parameters() if p.requires_grad]
    optim = torch.optim.AdamW(weights, _RATE, betas=(0.9, 0.99))
    start, step, gains = time.monotonic(), 0, []
    while (done := (time.monotonic() - start) / (60 * minutes)) < 1:
        rows = torch.randint(0, len(hr), (batch_size,))
        flip = bool(torch.rand(()) < 0.5)
        y, m, x = ((t[rows].flip(-1) if flip else t[rows]).float() for t in (hr, mask, filled))
        y, x = y / 255, x / 255
        for group in optim.param_groups:
            group["lr"] = _RATE * min(1, (step + 1) / _WARM) * (0.5 * (1 + np.cos(np.pi * done)) + 0.005)
        out = network.refine(x, y * (1 - m), m)
        error = ((out - y).square() * m).sum() / (3 * m.sum())
        before = ((x - y).square() * m).sum() / (3 * m.sum())
        loss = 10 * error
        if done > 1 / 3 and perceptual:
            seen = sum(layer.mean((1, 2, 3)) for layer in lpips_maps(out, y))
            loss = loss + 10 * perceptual * seen.mean()
        optim.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optim.step()
        step += 1
        gains.append(10 * np.log10(before.item() / error.item()))
        if step % 100 == 0:
            log.info(f"step {step}, {done:.0%}: {np.mean(gains[-100:]):.2f} dB above the prior in the hole")
            if save is not None:
                save(network)
    return network.eval()
