"""The whole comparison as one HTML file that needs nothing else: no server, no net, no folder beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ofhkit.evaluation.columns import Column, paper_numbers
from ofhkit.evaluation.tables import LEGEND, marks
from ofhkit.files import asset
from ofhkit.functional.images import png_uri, to_uint8

__all__ = ["html_report"]

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
