"""What the face prior can do, measured: regularisation, size, number of faces, holes, consistency, privacy.

Each function returns a Markdown table. Completion and enlargement are computed from moments directly, so that one pass
over the faces serves all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ofhkit.data.packed import PackedFaces
from ofhkit.data.sampler import first, in_batches
from ofhkit.errors import OfhkitError
from ofhkit.evaluation.figures import line_chart
from ofhkit.functional import gaussian
from ofhkit.functional.image_quality import psnr, ssim
from ofhkit.functional.images import face_grid
from ofhkit.functional.masks import random_rectangles, rectangle_mask
from ofhkit.functional.resample import downsample_cubic
from ofhkit.models.inference import run_batches
from ofhkit.models.inpainters import GaussianInpainter
from ofhkit.models.pipeline import FaceHallucinator
from ofhkit.registry import DATASETS, DEGRADATIONS
from ofhkit.zoo import load_model

__all__ = [
    "Faces", "Moments", "completions", "components", "consistency", "faces_needed", "holes", "numbered", "occluders",
    "privacy", "regularisations", "sizes", "table",
]  # fmt: skip

LAMBDAS = (3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
COUNTS = (200, 1000, 5000, 10_000)
SHAPES = ("Strokes", "Ellipse", "Sunglasses", "SurgicalMask", "Hand", "Text", "Dropouts")
FORMS = ((1, 8), (1, 16), (1, 32), (2, 16), (2, 32), (2, 64))  # side of a block in pixels of the small face, rank
_LAMBDA, _BATCH = 3e-5, 256
_KERNEL = 2  # pixels of the small face that the shrinking's kernel reaches to either side


class Faces:
    """Faces of one split of a pack: ``hr`` and ``lr`` float in [0, 1], ``mask`` as a test draws it.

    Without a root they are rendered, as many as ``count`` says.
    """

    def __init__(self, root: str | Path | None, split: str, count: int | None = None, large: bool = True):
        rendered = dict(type="SyntheticFaces", split=split, num_faces={split: count})
        pack = DATASETS.build(rendered) if root is None else PackedFaces(root, split)
        self.name = pack.metainfo["name"]
        size = len(pack) if count is None else min(count, len(pack))
        small, big = [], []
        for batch in in_batches(first(pack, size), _BATCH):
            hr = batch["hr"].float() / 255
            small.append(downsample_cubic(hr).clamp_(0, 1))
            big += [hr] if large else []
        self.lr, self.hr = torch.cat(small), torch.cat(big) if large else None
        self.mask = random_rectangles(torch.arange(size), seed=0)


class Moments(dict):
    """``mean_x, cov_xx, mean_y, cov_xy`` (float64) of the training faces of a pack and their mirror images."""

    @classmethod
    def collect(cls, root: str | Path) -> Moments:
        """One pass over the training faces."""
        pack, sums = PackedFaces(root, "train"), None
        for batch in in_batches(pack, _BATCH):
            hr = batch["hr"].float() / 255
            lr = downsample_cubic(hr).clamp_(0, 1)
            sums = sums or gaussian.new_moments(lr, hr)
            gaussian.add_moments(sums, lr, hr)
        if sums is None:
            raise OfhkitError(f"{root} has no training faces; prepare a pack with some")
        return cls(gaussian.centre_moments(sums, len(pack), {"x": (3, 16, 16), "y": (3, 128, 128)}))


def table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _complete(moments: Moments, lr: Tensor, mask: Tensor, regularisation: float = _LAMBDA) -> Tensor:
    precision = gaussian.precision(moments["cov_xx"], regularisation)
    hidden = (mask > 0.5).expand_as(lr).flatten(1)
    return gaussian.complete(lr.flatten(1), hidden, moments["mean_x"], precision).view_as(lr).clamp(0, 1).float()


def regularisations(moments: Moments, faces: Faces) -> str:
    """The rule: the smallest lambda whose mean LR-PSNR on validation faces is within 0.01 dB of the best one's."""
    scores = {lam: psnr(_complete(moments, faces.lr, faces.mask, lam), faces.lr, 1.0).mean().item() for lam in LAMBDAS}
    chosen = min(lam for lam, value in scores.items() if value >= max(scores.values()) - 0.01)
    found = table(("lambda", "LR-PSNR (dB)"), [(f"{k:g}", f"{v:.3f}") for k, v in scores.items()])
    return f"{found}\n\nThe smallest within 0.01 dB of the best: {chosen:g}."


def sizes(moments: Moments, faces: Faces) -> tuple[str, str]:
    """The exact linear map and smaller forms of it, on completed faces: a table, and PSNR over MB as an SVG."""
    assert faces.hr is not None
    completed = _complete(moments, faces.lr, faces.mask).flatten(1).double() - moments["mean_x"]
    weights = gaussian.linear_map(moments["cov_xx"], moments["cov_xy"], _LAMBDA)
    mean = moments["mean_y"].float()

    def scores(predicted: Tensor) -> list[str]:
        sr = (predicted.float() + mean).view_as(faces.hr).clamp(0, 1)
        found = psnr(sr, faces.hr, 1.0).mean().item(), ssim(sr, faces.hr, 1.0).mean().item()
        return [f"{found[0]:.3f}", f"{found[1]:.4f}"]

    rows = [["exact", f"{weights.numel() / 1e6:.2f}", f"{weights.numel() * 4 / 1e6:.1f}", *scores(completed @ weights)]]
    for block, rank in FORMS:
        side = 8 * block
        parts = [_blocks(t.float(), side) for t in (weights, moments["cov_xy"])]
        axes = torch.linalg.eigh(parts[0].mT @ parts[1])[1][..., -rank:]
        gain = parts[0] @ axes
        predicted = _together(completed.float() @ gain @ axes.mT, side)
        numbers = (gain.numel() + axes.numel()) / 2  # the right half follows from the left
        half = _together(completed.float() @ gain.half().float() @ axes.half().float().mT, side)
        name = f"blocks of {side}x{side}, rank {rank}"
        rows.append([name, f"{numbers / 1e6:.2f}", f"{numbers * 4 / 1e6:.1f}", *scores(predicted)])
        rows.append([f"{name}, 16 bits", f"{numbers / 1e6:.2f}", f"{numbers * 2 / 1e6:.1f}", *scores(half)])
    forms = {(name.split(", ")[0], float(mb)): float(db) for name, _, mb, db, _ in rows[1:] if name.endswith("16 bits")}
    steps = sorted({mb for _, mb in forms})
    curves = {name: [forms.get((name, mb)) for mb in steps] for name in dict.fromkeys(name for name, _ in forms)}
    curves["exact, 151 MB"] = [float(rows[0][3])] * len(steps)
    title = "The linear map's size against what it scores"
    chart = line_chart(curves, [f"{mb:g}" for mb in steps], "PSNR (dB)", "MB in 16 bits", title)
    return table(("form", "million numbers", "MB", "PSNR (dB)", "SSIM"), rows), chart


def _blocks(images: Tensor, side: int) -> Tensor:
    """(N, 3*128*128) -> (blocks, N, 3*side*side)."""
    n = 128 // side
    return images.view(-1, 3, n, side, n, side).permute(2, 4, 0, 1, 3, 5).reshape(n * n, len(images), -1)


def _together(blocks: Tensor, side: int) -> Tensor:
    n = 128 // side
    parts = blocks.view(n, n, -1, 3, side, side).permute(2, 3, 0, 4, 1, 5)
    return parts.reshape(parts.shape[0], -1)


def faces_needed(train: Faces, faces: Faces) -> str:
    """Completion with the moments of more and more training faces; lambda 1e-3 beside it, which few faces need."""
    rows = []
    for count in (n for n in COUNTS if n <= len(train.lr)):
        sums = gaussian.new_moments(train.lr)
        gaussian.add_moments(sums, train.lr[:count])
        moments = Moments(gaussian.centre_moments(sums, count, {"x": (3, 16, 16)}))
        found = [psnr(_complete(moments, faces.lr, faces.mask, lam), faces.lr, 1.0).mean() for lam in (3e-5, 1e-3)]
        rows.append((f"{count:,}", *(f"{value:.2f}" for value in found)))
    return table(("training faces", "LR-PSNR, lambda 3e-5", "LR-PSNR, lambda 1e-3"), rows)


def holes(faces: Faces, models: Sequence[FaceHallucinator]) -> str:
    """PSNR in the hole, at 16x16: as a test draws it, for centred squares of growing side, and for the corners."""
    places = {f"{side}x{side}, centre": (8 - side // 2, 8 - side // 2, side) for side in (2, 4, 6, 8, 10, 12)}
    places |= {
        f"6x6, corner {i + 1}": (top, left, 6) for i, (top, left) in enumerate(((0, 0), (0, 10), (10, 0), (10, 10)))
    }
    masks = {name: rectangle_mask(*torch.tensor([[t], [l], [s], [s]])) for name, (t, l, s) in places.items()}
    rows = []
    for name, mask in {"17 to 63 pixels, as a test draws them": faces.mask, **masks}.items():
        mask = mask.expand(len(faces.lr), -1, -1, -1)
        with torch.no_grad():
            done = [m.complete(faces.lr * (1 - mask), mask).clamp(0, 1) for m in models]
        rows.append([name, *(f"{psnr(c, faces.lr, 1.0, mask).mean():.2f}" for c in done)])
    return table(["hole", *(m.info["name"] for m in models)], rows)


@torch.no_grad()
def occluders(faces: Faces, models: Sequence[FaceHallucinator]) -> str:
    """PSNR of the large face, and in the hole, by what hides it; and how much less the face has than with rectangles.

    First the paper's rectangles: pixels of the small face beside the hole were shrunk from the whole face, and tell
    what it hides. Then the same holes with every pixel unknown that was shrunk from some of the hole. Then what is
    painted over the large face before the shrinking.
    """
    assert faces.hr is not None
    batch = {"hr": (faces.hr * 255).round().byte(), "index": torch.arange(len(faces.hr))}
    leaky, honest = "rectangles in the small face (the paper's)", "the same, and no pixel that saw the hole"
    kinds = {leaky: dict(type="Degradation"), honest: dict(type="Degradation")}
    for name in ("RandomRectangle", *SHAPES):
        kinds[f"{name}, painted"] = dict(type="Degradation", occluder=dict(type=name), paint=dict(type="FlatPaint"))
    rows, first = [], []
    for name, config in kinds.items():
        seen = DEGRADATIONS.build(config)(dict(batch))
        hole = seen["mask"]
        mask = F.max_pool2d(hole, 2 * _KERNEL + 1, 1, _KERNEL) if name == honest else hole
        results = [run_batches(m, seen["lr"], mask).sr for m in models]
        found = [psnr(sr, faces.hr, 1.0).mean().item() for sr in results]
        inside = [psnr(sr, faces.hr, 1.0, hole).mean().item() for sr in results]
        first = first or found
        cells = (f"{v:.2f} ({v - f:+.2f}), {i:.2f}" for v, f, i in zip(found, first, inside))
        rows.append([name, f"{hole.sum((1, 2, 3)).mean():.0f}", *cells])
    titles = ("hidden by", "of 256 pixels", *(f"{m.info['name']}: face (loss), hole" for m in models))
    return table(titles, rows)


@torch.no_grad()
def consistency(faces: Faces, models: Sequence[FaceHallucinator]) -> str:
    """Every pipeline as it is and with ``consistent``: how far from the small face, and what it scores."""
    from ofhkit.models.losses.perceptual import lpips_maps, pool_lpips

    assert faces.hr is not None
    rows = []
    for model in models:
        for consistent in (False, True):
            model.consistent = consistent
            found: list[Tensor] = []
            for hr, lr, mask in zip(faces.hr.split(50), faces.lr.split(50), faces.mask.split(50)):
                out = model.predict(lr * (1 - mask), mask)
                free = model.upsample(out["completed"], mask).float()
                rounded = (out["sr"] * 255).round() / 255
                off = [(downsample_cubic(y) - out["completed"]).abs().flatten(1).amax(1) for y in (free, rounded)]
                scores = psnr(out["sr"], hr, 1.0), pool_lpips(lpips_maps(out["sr"], hr), hr)
                found.append(torch.stack((*off, *scores)))
            free, rounded, dB, lpips = torch.cat(found, 1)
            beyond = int((rounded > 1e-3).sum())
            rows.append(
                [model.info["name"], "yes" if consistent else "no", f"{free.max():.1e}", f"{rounded.median():.1e}",
                 f"{rounded.max():.1e}", beyond, f"{dB.mean():.3f}", f"{lpips.mean():.4f}"]
            )  # fmt: skip
    titles = (
        "model",
        "consistent",
        "before clamping, worst",
        "8 bits, median",
        "8 bits, worst face",
        "faces above 1e-3",
    )
    return table((*titles, "PSNR", "LPIPS"), rows)


def privacy(moments: Moments, train: Faces, unseen: Faces) -> str:
    """Whether the numbers tell a training face from an unseen one, or hold any face.

    Told apart by how likely the Gaussian finds a face (area under the ROC; 0.5 is guessing) and by how well it fills a
    hidden half; held, if a direction of the covariance resembled a training face more than it does unseen ones.
    """
    precision = gaussian.precision(moments["cov_xx"], _LAMBDA)
    half = rectangle_mask(*torch.tensor([[0], [8], [16], [8]])).expand(len(unseen.lr), -1, -1, -1)
    directions = torch.linalg.eigh(moments["cov_xx"])[1]
    rows, distances = [], []
    for name, faces in (("training", train), ("unseen", unseen)):
        x = faces.lr[: len(unseen.lr)]
        d = x.flatten(1).double() - moments["mean_x"]
        distances.append(((d @ precision) * d).sum(1))
        alike = (d / d.norm(dim=1, keepdim=True) @ directions).abs().amax(1)
        filled = psnr(_complete(moments, x, half[: len(x)]), x, 1.0, half[: len(x)])
        rows.append(
            (name, f"{distances[-1].mean():.0f}", f"{filled.mean():.2f}", f"{alike.mean():.3f}", f"{alike.max():.3f}")
        )
    auc = (distances[0][:, None] < distances[1][None]).double().mean().item()
    titles = ("faces", "squared distance", "hidden half, PSNR", "likeness to a direction, mean", "most")
    return (
        f"{table(titles, rows)}\n\nA training face is told from an unseen one with an area of {auc:.3f} under the ROC."
    )


@torch.no_grad()
def components(inpainter: GaussianInpainter, count: int = 7) -> np.ndarray:
    """The mean face, and the mean plus and minus two standard deviations along the first components."""
    covariance = gaussian.symmetric(inpainter.covariance).double()
    variances, axes = torch.linalg.eigh(covariance)
    mean = inpainter.mean.double()
    steps = (2 * variances.clamp(min=0).sqrt() * axes).flip(1).T[:count].view(count, *mean.shape)
    columns = {"mean": torch.stack((mean, mean))}
    columns |= {f"component {i + 1}": torch.stack((mean + step, mean - step)) for i, step in enumerate(steps)}
    return face_grid({title: faces.clamp(0, 1).float() for title, faces in columns.items()}, size=96)


@torch.no_grad()
def completions(models: Sequence[FaceHallucinator], lr: Tensor) -> np.ndarray:
    """Rendered small faces with holes of growing size, completed by each pipeline's inpainter."""
    mask = torch.zeros(len(lr), 1, *lr.shape[2:])
    for row, side in zip(mask, range(4, 4 + 2 * len(lr), 2)):
        top = (16 - side) // 2
        row[:, top : top + side, top : top + side] = 1
    columns = {"seen": lr * (1 - mask) + 0.5 * mask}
    columns |= {m.info["name"]: m.complete(lr * (1 - mask), mask).clamp(0, 1) for m in models}
    return face_grid({**columns, "true": lr}, size=96)


def numbered(names: Sequence[str]) -> list[FaceHallucinator]:
    """Load pipelines by name or file."""
    return [load_model(name, "cpu") for name in names]
