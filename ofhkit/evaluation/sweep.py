"""One hole after another: how a score falls with the hole's size, and whether it matters where the hole is.

Reference: arXiv 1811.04645, Figures 8 (corners), 9 and 10 (centred squares).
"""

from __future__ import annotations

import copy
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ofhkit.data.sampler import fetch
from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.evaluation.evaluate import evaluate_all
from ofhkit.evaluation.figures import leading, line_chart
from ofhkit.evaluation.pipelines import MEAN_FACE
from ofhkit.evaluation.scoring import Scored
from ofhkit.functional.images import face_grid, write_png
from ofhkit.functional.task import LR_SIZE
from ofhkit.metrics import LRPSNR, PSNR, SSIM
from ofhkit.registry import DEGRADATIONS
from ofhkit.runtime.files import atomic_write
from ofhkit.runtime.progress import log

__all__ = ["SWEEPS", "Sweep", "holes_of", "run_sweep", "write_sweep"]

SWEEPS = ("size", "position")
SHOWN = 4
_INPAINTER = "inpainter, at 16x16"


@dataclass(frozen=True)
class Sweep:
    """Scores by hole.

    Attributes:
        kind: ``size`` or ``position``.
        rows: ``method, hole, area, PSNR, SSIM, PSNR_hole, LRPSNR, num_images``, means over the faces.
        svg: the curves.
        columns: title -> faces, what the leading method makes of the holes.
    """

    kind: str
    rows: list[dict[str, Any]]
    svg: str
    columns: dict[str, Tensor]


def holes_of(kind: str, size: int = LR_SIZE) -> dict[str, dict[str, Any]]:
    """The occluders of a sweep: centred squares 4x4 to 8x8, or an 8x8 hole in each corner.

    Raises:
        OfhkitError: no such sweep.

    >>> list(holes_of('size')), list(holes_of('position'))[0]
    (['4x4', '5x5', '6x6', '7x7', '8x8'], 'top left')
    """
    if kind == "size":
        return {f"{s}x{s}": dict(type="FixedRectangle", height=s, width=s) for s in range(4, 9)}
    if kind != "position":
        raise OfhkitError(f"--sweep: no sweep {kind!r}; {did_you_mean(kind, SWEEPS)}")
    corners = {"top": 0, "bottom": size - 8}, {"left": 0, "right": size - 8}
    return {
        f"{v} {h}": dict(type="FixedRectangle", height=8, width=8, top=top, left=left)
        for v, top in corners[0].items()
        for h, left in corners[1].items()
    }


def run_sweep(
    kind: str, scored: Sequence[Scored], dataset: Any, degradation: Mapping[str, Any], device: Any, batch_size: int
) -> Sweep:
    """Score every method on every hole of a sweep (the mean face, which sees none, is left out).

    Args:
        degradation: configuration, whose occluder is replaced.
    """
    chosen = [s for s in scored if s.row["method"] != MEAN_FACE]
    lead = leading(chosen)
    rows: list[dict[str, Any]] = []
    columns: dict[str, Tensor] = {}
    for name, occluder in holes_of(kind, degradation.get("size", 16)).items():
        log.info(f"sweep over {kind}: {name}")
        settings = {**copy.deepcopy(dict(degradation)), "occluder": occluder}
        degrade = DEGRADATIONS.build(settings).to(device)
        methods = [s.pipeline.predict for s in chosen]
        for s, scores in zip(chosen, evaluate_all(methods, degrade, dataset, [PSNR(), SSIM(), LRPSNR()], batch_size)):
            kept = {key: scores.means[key] for key in ("PSNR", "SSIM", "PSNR_hole", "LRPSNR")}
            area = occluder["height"] * occluder["width"]
            rows.append({"method": s.row["method"], "hole": name, "area": area, **kept, "num_images": len(dataset)})
        with torch.no_grad():
            shown = degrade(fetch(dataset, range(min(SHOWN, len(dataset)))))
            shown |= lead.pipeline.predict(shown)
        columns |= {f"{name}: lr": shown["lr"], f"{name}: {lead.row['method']}": shown["sr"]}
    columns["hr"] = shown["hr"]
    return Sweep(kind, rows, _plot(kind, rows, lead.row["method"], len(dataset)), columns)


def _plot(kind: str, rows: Sequence[Mapping[str, Any]], lead: str, count: int) -> str:
    holes = list(dict.fromkeys(row["hole"] for row in rows))
    curves = {f"{_INPAINTER} ({lead})": [row["LRPSNR"] for row in rows if row["method"] == lead]}
    for method in dict.fromkeys(row["method"] for row in rows):  # colored as where the mean face is the first curve
        curves[method] = [row["PSNR"] for row in rows if row["method"] == method]
    what = "centred hole, low-resolution pixels" if kind == "size" else "corner of the 8x8 hole"
    return line_chart(curves, holes, "PSNR (dB)", what, f"{count} test faces", joined=kind == "size")


def write_sweep(out: Path, sweep: Sweep) -> None:
    """Write ``sweep_KIND.csv``, ``.svg`` (curves) and ``.png`` (faces)."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(sweep.rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(sweep.rows)
    atomic_write(out / f"sweep_{sweep.kind}.csv", text.getvalue())
    atomic_write(out / f"sweep_{sweep.kind}.svg", sweep.svg)
    write_png(out / f"sweep_{sweep.kind}.png", face_grid(sweep.columns))
