"""Curves as SVG text: sharp at any size, readable where they are embedded."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence

from ofhkit.errors import OfhkitError

__all__ = ["line_chart"]

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
    from matplotlib import rc_context  # takes half a second
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": title + x_title, "axes.formatter.useoffset": False}):
        figure = Figure((7.6, 3.9), layout="constrained")
        axes = figure.add_subplot(title=title, xlabel=x_title, ylabel=y_title)
        for n, (name, curve) in enumerate(curves.items()):
            seen = [(i, v) for i, v in enumerate(curve) if v is not None]
            style = "none" if not joined else "-" if n < len(COLORS) else "--"
            axes.plot(*zip(*seen), label=_plain(name), color=COLORS[n % len(COLORS)], linestyle=style, marker="o", ms=4)
        axes.set_xticks(range(len(ticks)), list(map(_plain, ticks)))
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
