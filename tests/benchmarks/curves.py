"""How a training went: what its log says at each validation, as a table and as curves."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from ofhkit.errors import OfhkitError
from ofhkit.evaluation.figures import line_chart

__all__ = ["curve_chart", "curve_table", "read_curve"]

_LINE = re.compile(r"\[(\w+)\] +(\d+)/(\d+)  (val: )?(.*)")
_ENTRY = re.compile(r"(\w+) (-?[\d.]+(?:e-?\d+)?)(?=  |$)")
_GAME = {"d_real_right": "real right", "d_fake_right": "fake right", "adversary_share": "share"}


def read_curve(folder: Path) -> list[dict[str, float]]:
    """Read a stage's folder: one row a validation: the faces seen, its scores, the game's means since the last one.

    Raises:
        OfhkitError: no stage was trained there, or nothing was validated.
    """
    try:
        batch = json.loads((folder / "stage.json").read_text())["spec"]["batch_size"]
        lines = (folder / "train.log").read_text().splitlines()
    except (OSError, ValueError, KeyError):
        raise OfhkitError(f"{folder} is no folder of a trained stage: it needs stage.json and train.log") from None
    rows: list[dict[str, float]] = []
    game: dict[str, list[float]] = {}
    waiting: dict[str, float] | None = None  # a validation is logged before the losses of its iteration
    matches = [m for m in map(_LINE.search, lines) if m]
    for match in (m for m in matches if m[3] == matches[-1][3]):  # an earlier schedule's may stand before
        values = {name: float(value) for name, value in _ENTRY.findall(match[5])}
        if match[4]:
            waiting = {"faces": int(match[2]) * batch, **values}
            rows = [row for row in rows if row["faces"] < waiting["faces"]] + [waiting]  # resumed: said again
            continue
        for key, title in _GAME.items():
            if key in values:
                game.setdefault(title, []).append(values[key])
        if waiting is not None:
            waiting |= {title: fmean(seen) for title, seen in game.items()}
            waiting, game = None, {}
    if not rows:
        raise OfhkitError(f"{folder}: nothing was validated; set runtime.validations")
    return rows


def curve_table(rows: Sequence[Mapping[str, float]]) -> str:
    """The rows of a training in Markdown."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[f"{row[n]:,.0f}" if n == "faces" else f"{row[n]:.4g}" if n in row else "" for n in names] for row in rows]
    table = [["faces seen", *names[1:]], ["---:"] * len(names), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in table)


def curve_chart(curves: Mapping[str, Sequence[Mapping[str, float]]], metric: str = "PSNR") -> str:
    """Trainings in one chart, over the number of faces seen; a training without the metric is left out."""
    points = {name: {row["faces"]: row[metric] for row in rows if metric in row} for name, rows in curves.items()}
    seen = sorted({faces for curve in points.values() for faces in curve})
    drawn = {name: [curve.get(faces) for faces in seen] for name, curve in points.items() if curve}
    ticks = [f"{faces / 1000:.3g}k" for faces in seen]
    return line_chart(drawn, ticks, metric, "faces seen", f"{metric} on validation faces")
