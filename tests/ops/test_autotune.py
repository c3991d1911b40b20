import time
import warnings

import pytest
import torch

from ofhkit.ops import autotune


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    monkeypatch.setattr(autotune, "_chosen", {})


def slow(value):
    def call():
        time.sleep(0.02)
        return torch.full((3,), value)

    return call


def test_the_fastest_that_agrees_is_used_from_then_on():
    calls = []
    candidates = {"reference": slow(1.0), "fast": lambda: calls.append(1) or torch.ones(3)}
    assert autotune.fastest("key", candidates).tolist() == [1, 1, 1]
    before = len(calls)
    autotune.fastest("key", candidates)
    assert len(calls) == before + 1
    assert autotune._chosen == {"key": "fast"}


def test_one_that_differs_or_fails_is_left_out():
    def broken():
        raise RuntimeError("out of resources")

    with pytest.warns(UserWarning, match="differs by 1.0e") as warned:
        y = autotune.fastest("key", {"reference": slow(1.0), "wrong": lambda: torch.zeros(3), "broken": broken})
    assert y.tolist() == [1, 1, 1]
    assert any("out of resources" in str(w.message) for w in warned)
    assert autotune._chosen == {"key": "reference"}


def test_nan_counts_as_different():
    with pytest.warns(UserWarning, match="differs"):
        autotune.fastest("key", {"reference": slow(1.0), "wrong": lambda: torch.full((3,), float("nan"))})
    assert autotune._chosen == {"key": "reference"}


def test_a_reference_that_is_no_number_decides_nothing():
    candidates = {"reference": slow(float("nan")), "fast": lambda: torch.full((3,), float("nan"))}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert autotune.fastest("key", candidates).isnan().all()
    assert autotune._chosen == {}
