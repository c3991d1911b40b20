"""Scores by group of faces: what a method gains over bicubic on the same group, and how far behind the worst group is.

Beards and spectacles are hard for everyone, so scores are not compared between groups; gains over bicubic are.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ofhkit.errors import OfhkitError
from ofhkit.evaluation.scoring import Scored
from ofhkit.evaluation.tables import markdown_cell
from ofhkit.metrics import PerImageMetric

__all__ = ["group_table", "group_text", "read_groups"]

LEAST = 10  # faces of a group that can be the worst
_RESAMPLES = 2000
Groups = Mapping[str, Mapping[int, str]]
"""Column of the file -> image index -> group."""


def read_groups(path: Path, dataset: Any) -> Groups:
    """Read a CSV with the column ``name`` and, for each way to group the faces, a column of groups.

    Raises:
        OfhkitError: no such columns, a data set without names, or none of its faces named.
    """
    names = getattr(getattr(dataset, "pack", None) or dataset, "names", None)
    if names is None:
        raise OfhkitError("--groups: this data set's faces have no names")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OfhkitError(f"--groups {path} cannot be read: {error}") from None
    columns = [key for key in (rows[0] if rows else ()) if key not in (None, "name")]
    if not columns or "name" not in rows[0]:
        raise OfhkitError(f"--groups {path}: its first line must be name,group, as in name,age,glasses")
    index = {str(name): i for i, name in enumerate(names)}
    found = {c: {index[r["name"]]: r[c].strip() for r in rows if r["name"] in index and r[c]} for c in columns}
    if not any(found.values()):
        raise OfhkitError(f"--groups {path} names none of the {len(index)} faces, such as {next(iter(index))}")
    return found


def group_table(scored: Sequence[Scored], groups: Groups, metrics: Iterable[PerImageMetric]) -> list[dict[str, Any]]:
    """One row a column of the file, method, headline metric and group.

    Returns:
        ``by, method, metric, group, num_images, score, gain`` (over bicubic; positive is better). The group of at
        least :data:`LEAST` faces with the smallest gain has ``gap`` too, its gain less the mean over all the faces that
        have a group, and ``gap_ci95``, by a bootstrap within the groups of this group's gap.

    Raises:
        OfhkitError: there is no bicubic row.
    """
    bicubic = next((s for s in scored if s.row["method"].endswith("+bicubic")), None)
    if bicubic is None:
        raise OfhkitError("--groups measures gains over bicubic: leave out --alone, or name a bicubic method too")
    rows = []
    for by, of_image in groups.items():
        indices = {g: [i for i in bicubic.per_image if of_image.get(i) == g] for g in sorted(set(of_image.values()))}
        indices = {group: found for group, found in indices.items() if found}
        for metric in (m for m in metrics if m.headline and m.higher_is_better is not None):
            sign = 1 if metric.higher_is_better else -1
            for s in scored:
                if any(metric.name not in s.per_image[i] for found in indices.values() for i in found):
                    continue
                score = {g: np.array([s.per_image[i][metric.name] for i in found]) for g, found in indices.items()}
                base = {g: np.array([bicubic.per_image[i][metric.name] for i in found]) for g, found in indices.items()}
                gains = {group: sign * (score[group] - base[group]) for group in indices}
                about = {"by": by, "method": s.row["method"], "metric": metric.name}
                own = [
                    {
                        **about,
                        "group": g,
                        "num_images": len(v),
                        "score": float(score[g].mean()),
                        "gain": float(v.mean()),
                    }
                    for g, v in gains.items()
                ]
                large = [row for row in own if row["num_images"] >= LEAST]
                if len(large) > 1 and s is not bicubic:
                    worst = min(large, key=lambda row: row["gain"])
                    worst |= _gap(gains, worst["group"])
                rows += own
    return rows


def _gap(gains: Mapping[str, np.ndarray], worst: str) -> dict[str, Any]:
    """The worst group's mean gain less that of all faces, and its 95 % interval: each group is resampled by itself."""
    rng, count = np.random.default_rng(0), sum(map(len, gains.values()))
    drawn = {g: v[rng.integers(0, len(v), (_RESAMPLES, len(v)))].sum(1) for g, v in gains.items()}
    gaps = drawn[worst] / len(gains[worst]) - sum(drawn.values()) / count
    gap = gains[worst].mean() - np.concatenate(list(gains.values())).mean()
    return {"gap": float(gap), "gap_ci95": [float(end) for end in np.quantile(gaps, (0.025, 0.975))]}


def group_text(rows: Sequence[Mapping[str, Any]], metrics: Iterable[PerImageMetric]) -> str:
    """The rows as Markdown: a table a metric and column of the file."""
    parts = []
    for metric in metrics:
        for by in dict.fromkeys(row["by"] for row in rows):
            chosen = [row for row in rows if (row["by"], row["metric"]) == (by, metric.name)]
            counts = {row["group"]: row["num_images"] for row in chosen}
            if not chosen:
                continue
            titles = [f"{metric.name} by {by}: score (gain)", *(f"{g} ({n})" for g, n in counts.items()), "worst: gap"]
            parts += [f"| {' | '.join(map(markdown_cell, titles))} |", "| --- |" + " ---: |" * (len(titles) - 1)]
            for method in dict.fromkeys(row["method"] for row in chosen):
                own = {row["group"]: row for row in chosen if row["method"] == method}
                d = metric.decimals
                cells = [f"{own[g]['score']:.{d}f} ({own[g]['gain']:+.{d}f})" for g in counts]
                gap = next((row for row in own.values() if "gap" in row), None)
                ends = gap and ", ".join(f"{end:+.{d}f}" for end in gap["gap_ci95"])
                cells += [f"{markdown_cell(gap['group'])}: {gap['gap']:+.{d}f} [{ends}]" if gap else "–"]
                parts.append(f"| {' | '.join([markdown_cell(method), *cells])} |")
            parts.append("")
    parts.append(
        "Gain: over bicubic on the same faces, positive is better. Gap: the worst group's gain less the mean gain, "
    )
    parts[-1] += f"with its 95 % bootstrap interval; groups below {LEAST} faces are never the worst.\n"
    return "\n".join(parts)
