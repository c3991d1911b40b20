"""The whole comparison as one HTML file that needs nothing else: no server, no net, no folder beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from ofhkit.evaluation.columns import PAPER, Column
from ofhkit.evaluation.tables import LEGEND, marks
from ofhkit.files import asset

__all__ = ["html_report", "png_uri"]

TEMPLATE = "report.html"
_DATA = "/*DATA*/"


def png_uri(image: np.ndarray) -> str:
    """A picture (H, W, 3) uint8 RGB as a ``data:`` address.

    >>> png_uri(np.zeros((2, 2, 3), np.uint8))[:22]
    'data:image/png;base64,'
    """
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert done
    return "data:image/png;base64," + base64.b64encode(data.tobytes()).decode()


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
        "tables": [_table(title, rows, columns) for title, (rows, columns) in tables.items()],
        "faces": {
            "labels": list(labels),
            "methods": [c for c in columns if c not in ("lr", "completed", "hr")],
            "images": {title: [png_uri(face) for face in _bytes(batch)] for title, batch in columns.items()},
        },
        "plots": [{"title": title, "svg": svg} for title, svg in plots.items()],
        "pictures": [{"title": title, "uri": png_uri(picture)} for title, picture in pictures.items()],
        "protocol": protocol,
        "environment": environment,
        "configs": configs,
    }
    text = json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")  # cannot end the script
    return asset(TEMPLATE).read_text(encoding="utf-8").replace(_DATA, text)


def _bytes(batch: Tensor) -> np.ndarray:
    return (batch.detach().float().cpu().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def _table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> dict[str, Any]:
    return {
        "title": title,
        "columns": [{"key": c.key, "title": c.title, "decimals": c.decimals, "headline": c.headline} for c in columns],
        "rows": [dict(row) for row in rows],
        "marks": {c.key: marks(rows, c) for c in columns},
        "paper": {row["method"]: PAPER.get(row["method"], {}) for row in rows},
    }
