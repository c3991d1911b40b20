"""What goes into ``report.html``, gathered from a finished comparison."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import mmengine
import numpy as np
import torch

from ofhkit.config import to_json
from ofhkit.evaluation.columns import Column
from ofhkit.evaluation.figures import Gallery
from ofhkit.evaluation.html import html_report
from ofhkit.evaluation.plots import line_chart
from ofhkit.evaluation.scoring import Scored
from ofhkit.evaluation.sections import run_section
from ofhkit.evaluation.sweep import Sweep
from ofhkit.files import atomic_write
from ofhkit.functional.images import face_grid
from ofhkit.runtime.progress import log
from ofhkit.runtime.version import __version__

__all__ = ["environment", "score_by_hole", "write_report"]

TITLES = {"table1": "Table 1: image quality and cost", "table2": "Table 2: facial structure"}
BINS = (17, 24, 32, 40, 48, 56, 64)


def write_report(
    path: Path,
    scored: Sequence[Scored],
    gallery: Gallery,
    sweeps: Sequence[Sweep],
    landmarks: np.ndarray,
    protocol: dict[str, Any],
    columns: Mapping[str, Sequence[Column]],
    sections: Mapping[str, Any] | None = None,
) -> Path:
    """Write the report.

    Args:
        columns: of :func:`ofhkit.evaluation.columns.tables_of`.
        sections: those of ``evaluation.sections``, built.
    """
    rows = [s.row for s in scored]
    tables = {TITLES[name]: (rows, shown) for name, shown in columns.items()}
    curves = score_by_hole(scored)
    plots = {"PSNR by the size of the random hole": curves} if curves else {}
    plots |= {f"Sweep: hole {sweep.kind}": sweep.svg for sweep in sweeps}
    pictures = {"Landmarks: found (red), in the true face (green)": landmarks}
    pictures |= {f"Sweep: hole {sweep.kind}, faces": face_grid(sweep.columns) for sweep in sweeps}
    for title, own in _run(sections or {}, scored, gallery, protocol).items():
        if isinstance(own, str):
            plots[title] = own
        else:
            pictures[title] = own
    configs = {s.row["method"]: to_json(s.pipeline.config) for s in scored if s.pipeline.sha256}
    faces = gallery.labels, gallery.columns
    return atomic_write(path, html_report(tables, faces, plots, pictures, protocol, environment(), configs))


def _run(
    sections: Mapping[str, Any], scored: Sequence[Scored], gallery: Gallery, protocol: Mapping[str, Any]
) -> dict[str, str | np.ndarray]:
    """Title -> what a section returned; one that breaks is left out with one line, because the scores are dear."""
    content = {
        "rows": [dict(s.row) for s in scored],
        "per_image": {s.row["method"]: s.per_image for s in scored},
        "faces": gallery.columns,
        "protocol": dict(protocol),
    }
    done = {}
    for title, section in sections.items():
        try:
            done[title] = run_section(section, content)
        except Exception as error:
            log.info(f"section {title!r} of the report is left out: {type(error).__name__}: {error}")
    return done


def score_by_hole(scored: Sequence[Scored]) -> str:
    """Curves of the mean PSNR over faces whose hole has so many pixels, as SVG; empty without PSNR."""
    curves: dict[str, list[float | None]] = {}
    for s in scored:
        values = [(v["hole_area"], v["PSNR"]) for v in s.per_image.values() if "PSNR" in v]
        bins = [[psnr for area, psnr in values if low <= area < high] for low, high in pairwise(BINS)]
        curves[s.row["method"]] = [float(np.mean(b)) if b else None for b in bins]
    if not any(v is not None for curve in curves.values() for v in curve):
        return ""
    ticks = [f"{low}–{high - 1}" for low, high in pairwise(BINS)]
    return line_chart(curves, ticks, "PSNR (dB)", "pixels of the hole, of 256", "random holes, all test faces")


def environment() -> dict[str, str]:
    """Versions of what the numbers were computed with."""
    return {
        "ofhkit": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "mmengine": mmengine.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "system": platform.platform(),
    }
