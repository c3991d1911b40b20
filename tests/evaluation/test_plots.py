"""Charts are well-formed and put points where their values are."""

import xml.etree.ElementTree as ET

import pytest

from ofhkit.errors import OfhkitError
from ofhkit.evaluation.plots import line_chart

SVG = "{http://www.w3.org/2000/svg}"


def circles(text):
    return [(float(c.get("cx")), float(c.get("cy"))) for c in ET.fromstring(text).iter(f"{SVG}circle")]


def levels(text):
    """Grid lines: value -> height on the page."""
    root = ET.fromstring(text)
    heights = [float(line.get("y1")) for line in root.iter(f"{SVG}line")]
    labels = [float(t.text) for t in root.iter(f"{SVG}text") if t.get("text-anchor") == "end"]
    return dict(zip(labels, heights))


@pytest.mark.parametrize("values", [[19.3, 20.7, 22.2], [-1.0, 0.0, 1e-3], [5.0, 5.0, 5.0], [1e6, 2e6, 9e6]])
def test_points_lie_between_the_grid_lines_of_their_values(values):
    text = line_chart({"a": values}, ["x", "y", "z"], "dB", "hole")
    grid = levels(text)
    (v0, y0), (v1, y1) = min(grid.items()), max(grid.items())
    assert 2 <= len(grid) <= 9
    assert v0 <= min(values) <= max(values) <= v1
    for value, (_, y) in zip(values, circles(text)):
        assert y == pytest.approx(y0 + (y1 - y0) * (value - v0) / (v1 - v0), abs=0.1)


def test_gaps_and_names():
    text = line_chart({"a<b & c": [1.0, None, 2.0], "d": [1.0, 1.5, 2.0]}, ["x", "y", "z"], "dB", "hole")
    assert len(circles(text)) == 5
    assert "a<b & c" in [t.text for t in ET.fromstring(text).iter(f"{SVG}text")]


def test_what_cannot_be_drawn():
    for curves in ({}, {"a": [None]}, {"a": [float("nan")]}):
        with pytest.raises(OfhkitError, match="at least one value"):
            line_chart(curves, ["x"], "dB", "hole")
    with pytest.raises(OfhkitError, match="needs 2 values"):
        line_chart({"a": [1.0]}, ["x", "y"], "dB", "hole")
