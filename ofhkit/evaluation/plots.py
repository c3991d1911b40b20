"""Curves as SVG text: no plotting library, sharp at any size, readable where they are embedded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from ofhkit.errors import OfhkitError

__all__ = ["line_chart"]

COLOURS = ("#000000", "#e69f00", "#56b4e9", "#009e73", "#d55e00", "#0072b2", "#cc79a7", "#8c564b", "#7f7f7f")
_LEFT, _TOP, _WIDTH, _HEIGHT, _LEGEND = 56, 34, 460, 300, 250


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

    >>> line_chart({'a': [1.0, 2.0]}, ['x', 'y'], 'dB', 'hole').count('<circle')
    2
    """
    values = [v for curve in curves.values() for v in curve if v is not None]
    if not values or not all(map(math.isfinite, values)):
        raise OfhkitError("a chart needs at least one value, and finite ones")
    if any(len(curve) != len(ticks) for curve in curves.values()):
        raise OfhkitError(f"every curve of a chart needs {len(ticks)} values, one a tick")
    low, high, step = _axis(min(values), max(values))

    def y(value: float) -> float:
        return _TOP + _HEIGHT * (high - value) / (high - low)

    def x(i: int) -> float:
        return _LEFT + _WIDTH * (i + 0.5) / len(ticks)

    parts = [_text(_LEFT + _WIDTH / 2, 18, title, "middle", 13)]
    for n in range(round((high - low) / step) + 1):
        level = low + n * step
        line = f'x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y(level):.1f}" y2="{y(level):.1f}"'
        parts.append(f'<line {line} stroke="#ddd"/>')
        parts.append(_text(_LEFT - 6, y(level) + 4, f"{level:.10g}", "end"))
    parts += [_text(x(i), _TOP + _HEIGHT + 18, tick, "middle") for i, tick in enumerate(ticks)]
    parts.append(_text(_LEFT + _WIDTH / 2, _TOP + _HEIGHT + 40, x_title, "middle"))
    parts.append(f'<g transform="rotate(-90)">{_text(-_TOP - _HEIGHT / 2, 14, y_title, "middle")}</g>')
    for n, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[n % len(COLOURS)]
        points = [(x(i), y(v)) for i, v in enumerate(curve) if v is not None]
        if joined:
            path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
            dash = ' stroke-dasharray="5 3"' if n >= len(COLOURS) else ""
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>')
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.2" fill="{colour}"/>' for a, b in points]
        row = _TOP + 10 + 20 * n
        parts.append(f'<rect x="{_LEFT + _WIDTH + 16}" y="{row - 9}" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(_LEFT + _WIDTH + 34, row + 2, name, "start"))
    width, height = _LEFT + _WIDTH + _LEGEND, max(_TOP + _HEIGHT + 54, _TOP + 20 * len(curves) + 20)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>'
    )


def _axis(low: float, high: float) -> tuple[float, float, float]:
    """Round ends and a round step with three to eight steps between them."""
    span = max(high - low, 1e-6 * max(abs(low), abs(high), 1.0))
    power = 10.0 ** math.floor(math.log10(span))
    step = next(power * f for f in (0.2, 0.5, 1.0, 2.0) if span / (power * f) <= 7)
    return math.floor(low / step) * step, max(math.ceil(high / step), math.floor(low / step) + 1) * step, step


def _text(x: float, y: float, text: str, anchor: str, size: int = 12) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'
