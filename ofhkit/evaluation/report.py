"""``report.html``: the whole comparison in one file that needs no server, no net and no folder beside it.

Sections that other people write are components of role ``hook``.
"""

from __future__ import annotations

import inspect
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import mmengine
import numpy as np
import torch
from torch import Tensor

from ofhkit.config import to_json
from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.evaluation.figures import Gallery, line_chart, scatter_chart
from ofhkit.evaluation.scoring import Scored
from ofhkit.evaluation.sweep import Sweep
from ofhkit.evaluation.tables import LEGEND, Column, marks, paper_numbers
from ofhkit.functional.images import face_grid, png_uri, to_uint8
from ofhkit.runtime.files import asset, atomic_write
from ofhkit.runtime.progress import log
from ofhkit.runtime.version import __version__

__all__ = ["CONTENT", "environment", "html_report", "quality_by_time", "run_section", "score_by_hole", "write_report"]

TITLES = {"table1": "Table 1: image quality and cost", "table2": "Table 2: facial structure"}
BINS = (17, 24, 32, 40, 48, 56, 64)


def write_report(
    path: Path,
    scored: Sequence[Scored],
    rows: Sequence[Mapping[str, Any]],
    gallery: Gallery,
    sweeps: Sequence[Sweep],
    landmarks: np.ndarray,
    protocol: dict[str, Any],
    columns: Mapping[str, Sequence[Column]],
    sections: Mapping[str, Any] | None = None,
) -> Path:
    """Write the report.

    Args:
        rows: of ``scored``, and means over seeds.
        columns: of :func:`ofhkit.evaluation.tables.tables_of`.
        sections: those of ``evaluation.sections``, built.
    """
    tables = {TITLES[name]: (rows, shown) for name, shown in columns.items()}
    curves = score_by_hole(scored)
    plots = {"PSNR by the size of the random hole": curves} if curves else {}
    plots |= quality_by_time(rows, columns)
    plots |= {f"Sweep: hole {sweep.kind}": sweep.svg for sweep in sweeps}
    pictures = {"Landmarks: found (red), in the true face (green)": landmarks}
    pictures |= {f"Sweep: hole {sweep.kind}, faces": face_grid(sweep.columns) for sweep in sweeps}
    for title, own in _run(sections or {}, scored, gallery, protocol).items():
        if isinstance(own, str):
            plots[title] = own
        else:
            pictures[title] = own
    configs = {s.row["method"]: to_json(s.pipeline.config) for s in scored if s.pipeline.sha256}
    return atomic_write(path, html_report(tables, gallery, plots, pictures, protocol, environment(), configs))


def _run(
    sections: Mapping[str, Any], scored: Sequence[Scored], gallery: Gallery, protocol: Mapping[str, Any]
) -> dict[str, str | np.ndarray]:
    """Title -> what a section returned; one that breaks is left out with one line, because the scores are dear."""
    content = {
        "rows": [dict(s.row) for s in scored],
        "per_image": {s.row["method"]: s.per_image for s in scored},
        "faces": gallery[1],
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


def quality_by_time(
    rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Sequence[Column]], time: str = "ms_per_image"
) -> dict[str, str]:
    """The first headline over the milliseconds a face, one point a row; nothing where either was not measured."""
    column = next((c for shown in columns.values() for c in shown if c.headline), None)
    if column is None:
        return {}
    points = {row["method"]: (row[time], row[column.key]) for row in rows if row.get(time) and column.key in row}
    title = f"{column.title} and time"
    return {title: scatter_chart(points, column.title, "milliseconds a face, batch of 64", title)} if points else {}


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


TEMPLATE = "report.html"
_DATA = "/*DATA*/"


def html_report(
    tables: Mapping[str, tuple[Sequence[Mapping[str, Any]], Sequence[Column]]],
    faces: tuple[Sequence[str], Mapping[str, Tensor]],
    plots: Mapping[str, str],
    pictures: Mapping[str, np.ndarray],
    protocol: Mapping[str, Any],
    environment: Mapping[str, Any],
    configs: Mapping[str, str],
) -> str:
    """Return the report's text.

    Args:
        tables: title -> rows and columns.
        faces: labels, one a face, and title -> (N, 3, H, W) float RGB in [0, 1] with ``lr``, ``completed``, every
            method and ``hr``.
        plots: title -> SVG.
        pictures: title -> (H, W, 3) uint8 RGB.
        configs: row -> resolved configuration as text.
    """
    labels, columns = faces
    data = {
        "legend": LEGEND,
        "tables": [_table(title, rows, columns, protocol) for title, (rows, columns) in tables.items()],
        "faces": {
            "labels": list(labels),
            "methods": [c for c in columns if c not in ("lr", "completed", "hr")],
            "images": {title: [png_uri(face) for face in to_uint8(batch)] for title, batch in columns.items()},
        },
        "plots": [{"title": title, "svg": svg} for title, svg in plots.items()],
        "pictures": [{"title": title, "uri": png_uri(picture)} for title, picture in pictures.items()],
        "protocol": protocol,
        "environment": environment,
        "configs": configs,
    }
    text = json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")  # cannot end the script
    return asset(TEMPLATE).read_text(encoding="utf-8").replace(_DATA, text)


def _table(
    title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], protocol: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "title": title,
        "columns": [{"key": c.key, "title": c.title, "decimals": c.decimals, "headline": c.headline} for c in columns],
        "rows": [dict(row) for row in rows],
        "marks": {c.key: marks(rows, c) for c in columns},
        "paper": {row["method"]: paper_numbers(row["method"], protocol) for row in rows},
    }


CONTENT = {
    "rows": "one dict a method: its name under `method`, metrics and costs as plain numbers",
    "per_image": "method -> image index -> metric -> value",
    "faces": "`lr`, `completed`, every method and `hr` -> (N, 3, H, W) float RGB in [0, 1]: the faces shown",
    "protocol": "data, split, color, seeds, checkpoints: what stands under the tables",
}


def run_section(section: Callable[..., Any], content: Mapping[str, Any]) -> str | np.ndarray:
    """Call a section with what its parameters name; returns HTML (or SVG) text, or a picture (H, W, 3) uint8 RGB.

    Args:
        content: the values of :data:`CONTENT`.

    Raises:
        OfhkitError: it asks for something else, or returns something else.

    >>> run_section(lambda rows: f'{len(rows)} methods', {'rows': [{'method': 'A'}]})
    '1 methods'
    """
    name = getattr(section, "__name__", type(section).__name__)
    wanted = [p.name for p in inspect.signature(section).parameters.values()]
    for key in wanted:
        if key not in content:
            raise OfhkitError(f"report section {name} takes {key!r}; {did_you_mean(key, CONTENT)}")
    result = section(**{key: content[key] for key in wanted})
    picture = isinstance(result, np.ndarray) and result.dtype == np.uint8 and result.ndim == 3 and result.shape[2] == 3
    if not (picture or isinstance(result, str)):
        what = f"{result.dtype} {result.shape}" if isinstance(result, np.ndarray) else type(result).__name__
        raise OfhkitError(f"report section {name} returns {what}; expected text or a picture (H, W, 3) uint8")
    return result
