"""Scores: PSNR and SSIM beside the usual numpy code and scikit-image, with how far the numbers are apart."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import Table, environment, measure
from ofhkit.functional.image_quality import psnr, ssim


def run(
    device: torch.device, batches: tuple[int, ...], rounds: int, compiled: bool, precision: str = "float32"
) -> list[Table]:
    """Return one table: PSNR and SSIM of noisy smooth pictures, RGB 128x128."""
    table = Table("PSNR + SSIM, 128x128 RGB")
    for batch in batches:
        variants = scorers(*pictures(batch), device)
        expected = variants["numpy, float64"]()
        times, table.ceilings = measure(variants, rounds, device)
        for name, seconds in times.items():
            row = {"batch": batch, "variant": name, "images/s": batch / seconds}
            row["x numpy"] = times["numpy, float64"] / seconds
            for score, a, b in zip(("PSNR", "SSIM"), variants[name](), expected):
                row[f"{score} apart"] = "" if a is None else float(np.abs(a - b).max())
            table.rows.append(row)
    table.environment = environment(device)
    return [table]


def pictures(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth pictures and noisy copies; two (count, 128, 128, 3) uint8."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, 12, 12, 3)).astype(np.uint8)
    hr = np.stack([cv2.resize(s, (128, 128), interpolation=cv2.INTER_CUBIC) for s in small])
    return hr, np.clip(hr + rng.normal(0, 12, hr.shape), 0, 255).astype(np.uint8)


def scorers(hr: np.ndarray, sr: np.ndarray, device: torch.device) -> dict[str, Callable]:
    """Return the ways to (PSNR, SSIM), each (count,); scikit-image's times SSIM alone."""
    tensors = [torch.from_numpy(z).permute(0, 3, 1, 2).contiguous().to(device) for z in (sr, hr)]

    def ours(dtype: torch.dtype) -> tuple[np.ndarray, ...]:
        x, y = (t.to(dtype) / 255 for t in tensors)
        scores: list[Tensor] = [psnr(x, y, 1.0), ssim(x, y, 1.0)]
        return tuple(s.double().cpu().numpy() for s in scores)

    calls: dict[str, Callable] = {
        "numpy, float64": lambda: numpy_scores(sr, hr),
        "ofhkit, float64": lambda: ours(torch.float64),
        "ofhkit, float32": lambda: ours(torch.float32),
    }
    try:
        from skimage.metrics import structural_similarity
    except ImportError:
        return calls
    settings = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=2, data_range=255)
    calls["scikit-image, SSIM alone"] = lambda: (
        None,
        np.array([structural_similarity(x, y, **settings) for x, y in zip(sr, hr)]),
    )
    return calls


def numpy_scores(sr: np.ndarray, hr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The usual numpy code, one image after another, float64."""
    scores = []
    for x, y in zip(sr.astype(np.float64), hr.astype(np.float64)):
        scores.append((10 * np.log10(255**2 / ((x - y) ** 2).mean()), numpy_ssim(x, y)))
    return tuple(np.array(scores).T)


def numpy_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """SSIM of two (H, W, 3) pictures in [0, 255]: five filtered maps a channel, valid region."""
    kernel = cv2.getGaussianKernel(11, 1.5)
    window = kernel @ kernel.T
    mx, my, xx, yy, xy = (cv2.filter2D(z, -1, window)[5:-5, 5:-5] for z in (x, y, x * x, y * y, x * y))
    vx, vy, cov = xx - mx * mx, yy - my * my, xy - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return (((2 * mx * my + c1) * (2 * cov + c2)) / ((mx * mx + my * my + c1) * (vx + vy + c2))).mean()
