"""Charts are well-formed and put points where their values are."""

import xml.etree.ElementTree as ET

import pytest
from svg_reader import SVG, curves_of

from ofhkit.errors import OfhkitError
from ofhkit.evaluation.figures import line_chart, scatter_chart


def words(text):
    return [t.text for t in ET.fromstring(text).iter(f"{SVG}text")]


@pytest.mark.parametrize("values", [[19.3, 20.7, 22.2], [-1.0, 0.0, 1e-3], [1e6, 2e6, 9e6]])
def test_points_lie_at_the_heights_of_their_values(values):
    (y,) = curves_of(line_chart({"a": values}, ["x", "y", "z"], "dB", "hole"))
    share = (y[0] - y[1]) / (y[0] - y[2])
    assert share == pytest.approx((values[1] - values[0]) / (values[2] - values[0]), abs=1e-3)
    assert y[0] > y[2]


def test_gaps_and_names():
    text = line_chart({"a<b & c": [1.0, None, 2.0], "$d_1$": [1.0, 1.5, 2.0]}, ["x", "y", "z"], "dB", "hole")
    assert sorted(map(len, curves_of(text))) == [2, 3]
    assert {"a<b & c", "$d_1$", "x", "dB", "hole"} <= set(words(text))


def test_the_same_numbers_give_the_same_text():
    assert line_chart({"a": [1.0]}, ["x"], "dB", "hole") == line_chart({"a": [1.0]}, ["x"], "dB", "hole")


def test_what_cannot_be_drawn():
    for curves in ({}, {"a": [None]}, {"a": [float("nan")]}):
        with pytest.raises(OfhkitError, match="at least one value"):
            line_chart(curves, ["x"], "dB", "hole")
    with pytest.raises(OfhkitError, match="needs 2 values"):
        line_chart({"a": [1.0]}, ["x", "y"], "dB", "hole")


def test_a_point_lies_where_its_numbers_are():
    text = scatter_chart({"a": (1.0, 20.0), "b": (10.0, 21.0), "c": (100.0, 24.0)}, "dB", "ms")
    clipped = (g for g in ET.fromstring(text).iter(f"{SVG}g") if g.get("clip-path"))
    (xa, ya), (xb, yb), (xc, yc) = [[float(use.get(k)) for k in "xy"] for g in clipped for use in g.iter(f"{SVG}use")]
    assert (xb - xa) / (xc - xa) == pytest.approx(0.5, abs=1e-3)  # logarithmic
    assert (ya - yb) / (ya - yc) == pytest.approx(0.25, abs=1e-3)
    assert {"a", "b", "c", "ms"} <= set(words(text))
