import itertools

import numpy as np
import pytest
from scipy import stats

from ofhkit.errors import OfhkitError
from ofhkit.functional.statistics import bootstrap_interval, paired_p_value


def test_interval_agrees_with_theory():
    values = np.random.default_rng(0).gamma(2.0, 1.5, 400)
    low, high = bootstrap_interval(values)
    assert high - low == pytest.approx(2 * 1.96 * values.std(ddof=1) / 20, rel=0.05)
    assert low < values.mean() < high


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(2)
    inside = sum(
        low <= 3.0 <= high
        for low, high in (bootstrap_interval(rng.normal(3, 1, 60), level=0.8, resamples=500) for _ in range(300))
    )
    assert 0.72 < inside / 300 < 0.87  # 0.8 give or take three standard errors


def test_interval_is_seeded_and_widens_with_the_level():
    values = np.random.default_rng(3).normal(size=50)
    assert bootstrap_interval(values, seed=5) == bootstrap_interval(values, seed=5)
    assert bootstrap_interval(values, seed=5) != bootstrap_interval(values, seed=6)
    narrow, wide = bootstrap_interval(values, level=0.5), bootstrap_interval(values, level=0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert bootstrap_interval([2.5]) == (2.5, 2.5)


def test_p_value_approaches_the_exhaustive_test():
    difference = np.array([0.5, -0.2, 0.9, 0.4, 0.1, -0.3, 0.8, 0.6])
    sums = [abs(np.dot(signs, difference)) for signs in itertools.product([-1, 1], repeat=8)]
    exact = np.mean(np.array(sums) >= abs(difference.sum()) - 1e-12)
    assert paired_p_value(difference, np.zeros(8), resamples=50_000) == pytest.approx(exact, abs=0.004)


def test_p_value_approaches_the_t_test_for_many_faces():
    rng = np.random.default_rng(4)
    first = rng.normal(20, 2, 500)
    second = first + rng.normal(0.08, 1, 500)
    assert paired_p_value(first, second) == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=0.015)
    assert paired_p_value(first, second) == paired_p_value(second, first)
    assert paired_p_value(first, first + 1) == pytest.approx(1 / 10_001)


def test_bad_values_are_refused():
    with pytest.raises(OfhkitError, match="at least one"):
        bootstrap_interval([])
    with pytest.raises(OfhkitError, match="value 1 of 2"):
        bootstrap_interval([1.0, float("nan")])
    with pytest.raises(OfhkitError, match="between 0 and 1"):
        bootstrap_interval([1.0], level=95)
    with pytest.raises(OfhkitError, match="same faces"):
        paired_p_value([1.0], [1.0, 2.0])
