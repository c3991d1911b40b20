"""Faces side by side: the same ones every time, those that came out worst, and landmarks drawn on them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from ofhkit.data.sampler import fetch
from ofhkit.errors import OfhkitError
from ofhkit.evaluation.pipelines import PAPER_ORDER
from ofhkit.evaluation.scoring import Scored
from ofhkit.functional.images import face_grid, to_float, to_uint8
from ofhkit.metrics import PerImageMetric
from ofhkit.registry import PRIORS

__all__ = ["Gallery", "draw_landmarks", "leading", "make_gallery"]

FIXED, WORST = 6, 4
_ENLARGED, _TRUE, _FOUND = 2, (0, 220, 0), (255, 40, 40)


def leading(scored: Sequence[Scored]) -> Scored:
    """OFHNet's row or, where there is none, the one nearest to it in the paper's order."""
    ranks = {method: i for i, method in enumerate(PAPER_ORDER)}
    return max(scored, key=lambda s: ranks.get(s.row["method"], -1))


class Gallery:
    """Faces and what every method made of them.

    Attributes:
        labels: one a face, such as ``worst, 17.2 dB``.
        columns: title -> (N, 3, H, W) float RGB in [0, 1]: lr, completed, every method, hr.
    """

    def __init__(self, labels: list[str], columns: dict[str, Tensor]):
        self.labels, self.columns = labels, columns


@torch.no_grad()
def make_gallery(
    scored: Sequence[Scored],
    dataset: Any,
    degrade: Any,
    metrics: Iterable[PerImageMetric],
    faces: Sequence[int] | None = None,
) -> Gallery:
    """Show ``faces`` (positions in the split; None = the first) and those on which the leading method is worst.

    Worst by the first of ``metrics`` that has a direction.

    Raises:
        OfhkitError: there is no such face.
    """
    lead = leading(scored)
    fixed = list(range(min(FIXED, len(dataset)))) if faces is None else list(faces)
    for position in fixed:
        if not 0 <= position < len(dataset):
            raise OfhkitError(f"--faces {position}: the test faces here are 0 to {len(dataset) - 1}")
    values = list(lead.per_image.values())  # in the data set's order, as they were scored
    judge = next((m for m in metrics if m.higher_is_better is not None and all(m.name in v for v in values)), None)
    worst, labels = [], [f"face {i}" for i in fixed]
    if judge is not None:
        others = [i for i in range(len(values)) if i not in fixed]
        worst = sorted(others, key=lambda i: values[i][judge.name], reverse=not judge.higher_is_better)[:WORST]
        labels += [f"worst {values[i][judge.name]:.{judge.decimals}f}" for i in worst]
    shown = degrade(fetch(dataset, [*fixed, *worst]))
    outputs = {s.row["method"]: s.pipeline.predict(shown) for s in scored}
    columns = {method: output["sr"] for method, output in outputs.items()}
    completed = outputs[lead.row["method"]]["completed"]
    return Gallery(labels, {"lr": shown["lr"], "completed": completed, **columns, "hr": shown["hr"]})


@torch.no_grad()
def draw_landmarks(gallery: Gallery) -> np.ndarray:
    """Figure 5: the evaluation network's 68 points on every method's face (red) over those of the true face (green).

    Returns:
        (height, width, 3) uint8 RGB, faces enlarged twice.
    """
    network = PRIORS.build(dict(type="FaceAPI68")).eval()
    faces = {title: batch[:FIXED].cpu() for title, batch in gallery.columns.items() if title not in ("lr", "completed")}
    truth = network(faces["hr"])
    drawn = {
        title: _with_points(batch, truth, None if title == "hr" else network(batch)) for title, batch in faces.items()
    }
    return face_grid(drawn, size=_ENLARGED * faces["hr"].shape[-1], rows=gallery.labels[:FIXED])


def _with_points(faces: Tensor, truth: Tensor, found: Tensor | None) -> Tensor:
    """Enlarged faces (N, 3, H, W) with both sets of points (N, 68, 2) on them."""
    large = faces.repeat_interleave(_ENLARGED, 2).repeat_interleave(_ENLARGED, 3)
    images = to_uint8(large)
    for i, image in enumerate(images):
        for points, color in ((truth[i], _TRUE), (None if found is None else found[i], _FOUND)):
            for x, y in () if points is None else (_ENLARGED * (points + 0.5) - 0.5).round().int().tolist():
                cv2.circle(image, (x, y), 2, color, -1, cv2.LINE_AA)
    return to_float(images)
