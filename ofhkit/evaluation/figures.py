"""Figures: faces side by side (fixed ones and the worst), landmarks drawn on them, and curves as SVG."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
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

__all__ = ["Gallery", "draw_landmarks", "leading", "line_chart", "make_gallery", "scatter_chart"]

FIXED, WORST = 6, 4
Gallery = tuple[list[str], dict[str, Tensor]]
"""Labels, one a face, and title -> (N, 3, H, W) float RGB in [0, 1]: lr, completed, every method, hr."""
_ENLARGED, _TRUE, _FOUND = 2, (0, 220, 0), (255, 40, 40)


def leading(scored: Sequence[Scored]) -> Scored:
    """OFHNet's row or, where there is none, the one nearest to it in the paper's order."""
    ranks = {method: i for i, method in enumerate(PAPER_ORDER)}
    return max(scored, key=lambda s: ranks.get(s.row["method"], -1))


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
    return labels, {"lr": shown["lr"], "completed": completed, **columns, "hr": shown["hr"]}


@torch.no_grad()
def draw_landmarks(gallery: Gallery) -> np.ndarray:
    """Figure 5: the evaluation network's 68 points on every method's face (red) over those of the true face (green).

    Returns:
        (height, width, 3) uint8 RGB, faces enlarged twice.
    """
    labels, columns = gallery
    network = PRIORS.build(dict(type="FaceAPI68")).eval()
    faces = {title: batch[:FIXED].cpu() for title, batch in columns.items() if title not in ("lr", "completed")}
    truth = network(faces["hr"])
    drawn = {
        title: _with_points(batch, truth, None if title == "hr" else network(batch)) for title, batch in faces.items()
    }
    return face_grid(drawn, size=_ENLARGED * faces["hr"].shape[-1], rows=labels[:FIXED])


def _with_points(faces: Tensor, truth: Tensor, found: Tensor | None) -> Tensor:
    """Enlarged faces (N, 3, H, W) with both sets of points (N, 68, 2) on them."""
    large = faces.repeat_interleave(_ENLARGED, 2).repeat_interleave(_ENLARGED, 3)
    images = to_uint8(large)
    for i, image in enumerate(images):
        for points, color in ((truth[i], _TRUE), (None if found is None else found[i], _FOUND)):
            for x, y in () if points is None else (_ENLARGED * (points + 0.5) - 0.5).round().int().tolist():
                cv2.circle(image, (x, y), 2, color, -1, cv2.LINE_AA)
    return to_float(images)


_LONGEST = 40  # characters of a name
COLORS = ("#000000", "#e69f00", "#56b4e9", "#009e73", "#d55e00", "#0072b2", "#cc79a7", "#8c564b", "#7f7f7f")


def line_chart(
    curves: Mapping[str, Sequence[float | None]],
    ticks: Sequence[str],
    y_title: str,
    x_title: str,
    title: str = "",
    joined: bool = True,
) -> str:
    """Draw one curve a name over equally spaced ticks; None leaves a gap.

    Args:
        joined: draw lines; for categories without an order, points only.

    Returns:
        A complete ``<svg>`` element.

    Raises:
        OfhkitError: nothing to draw, a curve of another length, or numbers that are not finite.

    >>> '</svg>' in line_chart({'a': [1.0, 2.0]}, ['x', 'y'], 'dB', 'hole')
    True
    """
    values = [v for curve in curves.values() for v in curve if v is not None]
    if not values or not all(map(math.isfinite, values)):
        raise OfhkitError("a chart needs at least one value, and finite ones")
    if any(len(curve) != len(ticks) for curve in curves.values()):
        raise OfhkitError(f"every curve of a chart needs {len(ticks)} values, one a tick")

    def draw(axes: Any) -> None:
        for n, (name, curve) in enumerate(curves.items()):
            seen = [(i, v) for i, v in enumerate(curve) if v is not None]
            style = "none" if not joined else "-" if n < len(COLORS) else "--"
            axes.plot(*zip(*seen), label=_plain(name), color=COLORS[n % len(COLORS)], linestyle=style, marker="o", ms=4)
        axes.set_xticks(range(len(ticks)), list(map(_plain, ticks)))

    return _chart(draw, y_title, x_title, title)


def scatter_chart(points: Mapping[str, tuple[float, float]], y_title: str, x_title: str, title: str = "") -> str:
    """Draw one point (x, y) a name, x > 0 on a logarithmic axis.

    Returns:
        A complete ``<svg>`` element.

    >>> '</svg>' in scatter_chart({'a': (1.0, 24.0), 'b': (80.0, 25.6)}, 'PSNR (dB)', 'ms')
    True
    """

    def draw(axes: Any) -> None:
        for n, (name, point) in enumerate(points.items()):
            axes.plot(*point, label=_plain(name), color=COLORS[n % len(COLORS)], linestyle="none", marker="oDsv"[n % 4])
        axes.set_xscale("log")

    return _chart(draw, y_title, x_title, title)


def _chart(draw: Callable[[Any], None], y_title: str, x_title: str, title: str) -> str:
    from matplotlib import rc_context  # takes half a second
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": title + x_title, "axes.formatter.useoffset": False}):
        figure = Figure((7.6, 3.9), layout="constrained")
        axes = figure.add_subplot(title=title, xlabel=x_title, ylabel=y_title)
        draw(axes)
        axes.margins(x=0.08)
        axes.grid(axis="y", color="#ddd")
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside right upper", frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    return text.getvalue()[text.getvalue().index("<svg") :]


def _plain(text: str) -> str:
    """Text that is not read as a formula, and is listed in a legend even where it is long or begins with a _."""
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return ("\u200b" if text.startswith("_") else "") + text.replace("$", r"\$")
