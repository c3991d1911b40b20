"""How well what hides a face is found: false alarms on whole faces, overlap and loss on painted ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from benchmarks.prior import SHAPES, Faces, table
from ofhkit.functional import gaussian
from ofhkit.functional.image_quality import psnr
from ofhkit.models.inference import run_batches
from ofhkit.models.mask_finder import BlockScores
from ofhkit.models.pipeline import FaceHallucinator
from ofhkit.registry import DEGRADATIONS

__all__ = ["ClosedForm", "false_alarms", "overlaps"]

PAINTS = ("FlatPaint", "NoisePaint", "TexturePaint", "OtherFacePaint")
KINDS = (*(("RandomRectangle", paint) for paint in PAINTS), *((shape, "FlatPaint") for shape in SHAPES))
SCORED = 15  # faces that are hallucinated
_NEAR, _KEPT = 0.35, 2.0  # of the limit, to be looked at; squared deviations of what stays found
Find = Callable[[Tensor], Tensor]


class ClosedForm:
    """The scores alone: what is above a limit is taken out, completed by the prior, and held against that.

    Args:
        scores: of a prior.
        whole: undamaged faces (N, 3, 16, 16); as many as ``false_alarms`` says are above the limit.
    """

    def __init__(self, scores: BlockScores, whole: Tensor, false_alarms: float):
        self.scores = scores
        peaks = self._scaled(whole).amax((2, 3))
        self.limits = peaks.quantile(1 - false_alarms, 0)[:, None, None]
        self.limits = self.limits * (peaks / self.limits[:, 0, 0]).amax(1).quantile(1 - false_alarms)

    def _scaled(self, x: Tensor) -> Tensor:
        blocks = self.scores(x, torch.zeros_like(x[:, :1]))[2]
        return blocks / blocks.flatten(2).median(2).values[:, :, None, None]

    def __call__(self, x: Tensor) -> Tensor:
        """(N, 3, 16, 16) -> masks (N, 1, 16, 16)."""
        evidence = (self._scaled(x) / self.limits).amax(1, keepdim=True)
        near = (evidence > _NEAR) & (evidence.amax((1, 2, 3), keepdim=True) > 1)
        filled = self.scores(x, near.float())[0]
        deviation = gaussian.deviations(near.expand_as(x).flatten(1), self.scores.precision).view_as(x)
        off = ((x - filled) / deviation.clamp(min=1e-3)).square().mean(1, keepdim=True)
        return (near & (off > _KEPT)).float()


def interval(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share.

    >>> [round(v, 3) for v in interval(20, 1000)]
    [0.013, 0.031]
    """
    z, share = 1.96, hits / count
    middle, half = share + z * z / (2 * count), z * ((share * (1 - share) + z * z / (4 * count)) / count) ** 0.5
    return tuple((middle + side * half) / (1 + z * z / count) for side in (-1, 1))


@torch.no_grad()
def false_alarms(finders: Mapping[str, Find], lr: Tensor, worn: Callable[[Tensor], Tensor]) -> str:
    """How many undamaged faces (N, 3, 16, 16) are reported; ``worn`` says of rows which wear glasses or a hat."""
    rows = []
    for name, find in finders.items():
        reported = torch.cat([find(x) for x in lr.split(64)]).flatten(1).any(1)
        low, high = interval(int(reported.sum()), len(lr))
        apart = int(worn(reported.nonzero().squeeze(1)).sum())
        share = f"{reported.float().mean():.1%} ({low:.1%} to {high:.1%})"
        rows.append((name, f"{int(reported.sum())} of {len(lr)}", share, apart))
    return table(("finder", "undamaged faces reported", "share, 95 % interval", "of them with glasses or a hat"), rows)


@torch.no_grad()
def overlaps(finders: Mapping[str, Find], faces: Faces, model: FaceHallucinator) -> tuple[str, str]:
    """Two tables by occluder: mean IoU (0 where nothing is found) and faces found; PSNR with found and true masks."""
    assert faces.hr is not None
    batch = {"hr": (faces.hr * 255).round().byte(), "index": torch.arange(len(faces.hr))}
    found_rows, score_rows = [], []
    for shape, paint in KINDS:
        config = dict(type="Degradation", occluder=dict(type=shape), paint=dict(type=paint))
        seen = DEGRADATIONS.build(config)(dict(batch))
        x, true = (seen["occluded"] * 255).round() / 255, seen["mask"]
        masks = [torch.cat([find(part) for part in x.split(64)]) for find in finders.values()]
        none, best, *scores = (
            psnr(run_batches(model, x[:SCORED], mask[:SCORED]).sr, faces.hr[:SCORED], 1.0).mean().item()
            for mask in (torch.zeros_like(true), true, *masks)
        )
        cells = []
        for mask in masks:
            overlap = (mask * true).sum((1, 2, 3)) / torch.maximum(mask, true).sum((1, 2, 3)).clamp(min=1)
            cells.append(f"{overlap.mean():.3f} ({mask.flatten(1).any(1).float().mean():.1%})")
        name = f"{shape}, {paint}"
        found_rows.append((name, f"{true.sum((1, 2, 3)).mean():.0f}", *cells))
        score_rows.append((name, f"{none:.2f}", f"{best:.2f}", *(f"{v:.2f} ({v - best:+.2f})" for v in scores)))
    titles = ("occluder", "of 256 pixels", *finders), ("occluder", "no mask", "true mask", *finders)
    return table(titles[0], found_rows), table(titles[1], score_rows)
