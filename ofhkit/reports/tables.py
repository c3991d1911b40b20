"""Rows of numbers as tables that can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DECIMALS = {"PSNR": 2, "SSIM": 4}


def markdown_table(rows: Sequence[Mapping[str, Any]], protocol: Mapping[str, Any]) -> str:
    """One line a method, best value bold, the protocol underneath.

    >>> print(markdown_table([dict(method='A', config='a', PSNR=20.0, budget=1.0)], {}).splitlines()[2])
    | A | **20.00** | 1 |
    """
    metrics = [k for k in rows[0] if k in DECIMALS]
    best = {m: max(row[m] for row in rows) for m in metrics}
    lines = [
        f"| method | {' | '.join(metrics)} | budget |",
        f"|---|{'---:|' * len(metrics)}---:|",
    ]
    for row in rows:
        cells = []
        for m in metrics:
            text = f"{row[m]:.{DECIMALS[m]}f}"
            cells.append(f"**{text}**" if row[m] == best[m] else text)
        lines.append(f"| {row['method']} | {' | '.join(cells)} | {row['budget']:g} |")
    notes = [f"{key}: {value}" for key, value in protocol.items()]
    return "\n".join([*lines, "", "Protocol: " + "; ".join(notes) + "." if notes else "", ""])
