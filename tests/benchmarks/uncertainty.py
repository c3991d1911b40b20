"""Calibrate how sure a pipeline says it is, and measure it: coverage, width, order, and the ranks of the truth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.prior import Faces, table
from ofhkit.evaluation.figures import line_chart
from ofhkit.functional.images import face_grid
from ofhkit.models.pipeline import FaceHallucinator
from ofhkit.models.uncertainty import COVERED, INTERVAL, Uncertainty, hidden, noise

__all__ = ["calibrate", "coverage", "draw_ranks", "ranks", "sheet", "spearman"]

_BATCH = 25
_LARGE = 25  # faces whose samples are enlarged
RANKED = ("16x16", "128x128", "128x128, with what the enlargement misses as noise")
_THIN = 5  # of the large face's pixels every fifth is fitted to
_FLOOR = 3e-3  # added to errors before their logarithm is taken: less than a grey level


def _batches(faces: Faces) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    yield from zip(faces.hr.split(_BATCH), faces.lr.split(_BATCH), faces.mask.split(_BATCH))


@torch.no_grad()
def calibrate(model: FaceHallucinator, faces: Faces) -> Uncertainty:
    """Fit the calibration of a pipeline to faces that it did not learn from."""
    found = Uncertainty(faces.hr.shape[-1])
    total = torch.zeros_like(found.residual[0])
    for hr, lr, mask in _batches(faces):
        total += (model.predict(lr, torch.zeros_like(mask))["sr"] - hr).square().mean(1, keepdim=True).sum(0)
    mean = (total + total.flip(-1))[None] / (2 * len(faces.hr))
    found.residual = F.avg_pool2d(F.pad(mean, (2, 2, 2, 2), mode="replicate"), 5, 1).clamp(min=1e-6)
    low: list[tuple[Tensor, Tensor]] = []
    high: tuple[list[tuple[Tensor, Tensor]], ...] = ([], [])
    for hr, lr, mask in _batches(faces):
        out = model.predict(lr * (1 - mask), mask)
        posterior, unlikely = found.posterior(model.inpainter, lr * (1 - mask), mask)
        inside = (mask > 0.5).expand_as(lr)
        low.append((found.small_features(posterior, unlikely)[inside], (out["completed"] - lr).abs()[inside]))
        features, error = found.large_features(posterior, unlikely, out["sr"]), (out["sr"] - hr).abs()
        for hole, parts in zip((False, True), high):
            here = hidden(mask, hr)[:, 0] == hole
            parts.append((features[here][::_THIN], error.movedim(1, -1)[here][::_THIN]))
    found.small = _fit(low)
    found.large = torch.stack([_fit(parts) for parts in high])
    return found


def _fit(parts: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Weights of features (n, k) whose exponential, times 1.645, holds 90 % of errors (n,) or (n, channels)."""
    features, errors = (torch.cat(values).double() for values in zip(*parts))
    mean = errors if errors.ndim == 1 else errors.mean(1)
    weights = torch.linalg.lstsq(features, (mean + _FLOOR).log()[:, None], driver="gelsd").solution[:, 0]
    deviation = (features @ weights).exp().reshape(-1, *[1] * (errors.ndim - 1))
    weights[0] += np.log(np.quantile((errors / deviation).numpy(), COVERED) / INTERVAL)
    return weights.float()


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation."""
    first, second = (np.argsort(np.argsort(x)) for x in (a, b))
    return float(np.corrcoef(first, second)[0, 1])


@torch.no_grad()
def coverage(models: list[FaceHallucinator], faces: Faces) -> str:
    """How much the intervals hold, how wide they are, how well the deviations order the errors; by pipeline and place.

    The constant is the one interval for all pixels that holds as much of the same errors. Order is Spearman's
    correlation between deviation and absolute error, averaged over the channels: mean over faces of that within
    a face, and that over all.
    """
    rows = []
    for model in models:
        found: dict[str, list[list[np.ndarray]]] = {}
        for hr, lr, mask in _batches(faces):
            seen = lr * (1 - mask)
            out = model.predict(seen, mask)
            std = model.deviations(seen, mask, out["sr"])
            holes = {"16x16, hole": (mask > 0.5, out["completed"] - lr, std["lr_std"])}
            large, error = hidden(mask, hr), out["sr"] - hr
            holes |= {"128x128, hole": (large, error, std["sr_std"])}
            holes |= {"128x128, outside": (~large, error, std["sr_std"])}
            for name, (places, off, deviation) in holes.items():
                values = [t.expand_as(off).movedim(1, -1).numpy() for t in (off.abs(), deviation)]
                found.setdefault(name, []).extend([[v[i][p[0]] for v in values] for i, p in enumerate(places.numpy())])
        rows += [[model.info["name"], name, *_measures(parts)] for name, parts in found.items()]
    titles = ("model", "where", "90 % intervals hold", "mean width", "constant's width", "order in a face", "over all")
    return table(titles, rows)


def _measures(parts: list[list[np.ndarray]]) -> list[str]:
    errors, deviations = (np.concatenate(values) for values in zip(*parts))
    held = float((errors <= INTERVAL * deviations).mean())
    within = np.mean([spearman(d.mean(1), e.mean(1)) for e, d in parts])
    every = max(len(errors) // 1_000_000, 1)
    pooled = spearman(deviations.mean(1)[::every], errors.mean(1)[::every])
    widths = 2 * INTERVAL * deviations.mean(), 2 * np.quantile(errors, held)
    return [f"{held:.3f}", *(f"{w:.4f}" for w in widths), f"{within:.3f}", f"{pooled:.3f}"]


@torch.no_grad()
def ranks(model: FaceHallucinator, faces: Faces, samples: int = 20) -> dict[str, np.ndarray]:
    """How often the truth has each rank among the samples, in the hole: (samples + 1,) counts.

    At 16x16, on all faces; at 128x128, on the first ``_LARGE``; and there with noise added to every sample, as large as
    what the enlargement misses of a complete face.
    """
    generator = torch.Generator().manual_seed(0)
    counts = {name: torch.zeros(samples + 1, dtype=torch.int64) for name in RANKED}
    for start, (lr, mask) in enumerate(zip(faces.lr.split(_BATCH), faces.mask.split(_BATCH))):
        random = noise(samples, tuple(lr.shape), generator)
        drawn = model.sample_completions(lr * (1 - mask), mask, random)
        counts[RANKED[0]] += _rank(drawn, lr, mask > 0.5, generator)
        if start * _BATCH >= _LARGE:
            continue
        hr = faces.hr[start * _BATCH :][: len(lr)]
        large = model.sample(lr * (1 - mask), mask, random)["sr"]
        counts[RANKED[1]] += _rank(large, hr, hidden(mask, hr), generator)
        whole = torch.zeros_like(mask)
        missed = torch.stack([model.deviations(x, whole, sr)["sr_std"] for x, sr in zip(drawn, large)])
        grain = missed[:, :, 0] * noise(samples, (len(lr), 1, *hr.shape[2:]), generator)[:, :, 0]
        counts[RANKED[2]] += _rank(large + grain[:, :, None], hr, hidden(mask, hr), generator)
    return {name: count.numpy() for name, count in counts.items()}


def _rank(drawn: Tensor, truth: Tensor, places: Tensor, generator: torch.Generator) -> Tensor:
    """Counts of the ranks of truth (N, C, H, W) among drawn (S, N, C, H, W), at places (N, 1, H, W)."""
    samples = len(drawn)
    tie = torch.rand(truth.shape, generator=generator)  # where clamping made some equal
    below, equal = (drawn < truth).sum(0), (drawn == truth).sum(0)
    rank = below + (tie * (equal + 1)).long().clamp(max=samples)
    return rank[places.expand_as(truth)].bincount(minlength=samples + 1)


def draw_ranks(counts: dict[str, np.ndarray]) -> str:
    """The counts of :func:`ranks` as shares, beside what a uniform distribution has: an SVG."""
    shares = {name: (100 * count / count.sum()).tolist() for name, count in counts.items()}
    bins = len(next(iter(counts.values())))
    curves = {**shares, "uniform": [100 / bins] * bins}
    title = f"The truth among {bins - 1} samples, in the hole"
    return line_chart(curves, [str(i) for i in range(bins)], "share of the numbers (%)", "rank of the truth", title)


@torch.no_grad()
def sheet(model: FaceHallucinator, faces: Faces, answers: int = 6) -> np.ndarray:
    """Three faces: what is seen, the answer, its deviation and its error, other answers; then the most wrong but sure.

    Deviations and errors are drawn from black to white at 0.3.
    """
    lr, mask, hr = faces.lr, faces.mask, faces.hr
    out = model.predict(lr * (1 - mask), mask)
    std = model.deviations(lr * (1 - mask), mask, out["sr"])["sr_std"]
    error = (out["sr"] - hr).abs().mean(1, keepdim=True)
    hole = hidden(mask, hr)
    surprise = torch.where(hole, error / std, 0).sum((1, 2, 3)) / hole.sum((1, 2, 3))
    worst = int(surprise[3:].argmax()) + 3
    rows = [0, 1, 2, worst]
    random = noise(answers, (4, *lr.shape[1:]), torch.Generator().manual_seed(0))
    drawn = model.sample((lr * (1 - mask))[rows], mask[rows], random)["sr"]
    seen = lr * (1 - mask) + 0.5 * mask
    columns = {"seen": seen, "answer": out["sr"], "true": hr}
    columns |= {name: (t / 0.3).clamp(0, 1).expand_as(hr) for name, t in (("deviation", std), ("error", error))}
    columns = {name: t[rows] for name, t in columns.items()}
    return face_grid({**columns, **{f"other {i + 1}": d for i, d in enumerate(drawn)}}, size=96)
