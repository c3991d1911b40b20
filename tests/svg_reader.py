"""Reads the charts of :mod:`ofhkit.evaluation.figures` back."""

import xml.etree.ElementTree as ET

SVG = "{http://www.w3.org/2000/svg}"


def curves_of(text: str) -> list[list[float]]:
    """The heights on the page of each curve's markers (an axis has one marker a tick, a curve has several)."""
    lines = [g for g in ET.fromstring(text).iter(f"{SVG}g") if (g.get("id") or "").startswith("line2d_")]
    heights = [[float(marker.get("y")) for marker in line.iter(f"{SVG}use")] for line in lines]
    return [line for line in heights if len(line) > 1]
