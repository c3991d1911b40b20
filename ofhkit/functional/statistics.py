"""How sure a mean over test faces is, and whether one method really beats another on the same faces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ofhkit.errors import OfhkitError

__all__ = ["bootstrap_interval", "paired_p_value"]

_BLOCK = 4_000_000  # random numbers at a time


def bootstrap_interval(
    values: Sequence[float] | np.ndarray, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean: faces are drawn with replacement, as often as there are faces.

    Returns:
        Lower and upper end; both the value itself for a single face.

    Raises:
        OfhkitError: no values, NaN or infinity among them, a level outside (0, 1).

    >>> bootstrap_interval([1.0, 2.0, 3.0, 4.0])
    (1.5, 3.5)
    """
    values = _finite(values)
    if not 0 < level < 1:
        raise OfhkitError(f"the level of an interval lies between 0 and 1, got {level}")
    rng = np.random.Generator(np.random.Philox(seed))
    block = max(1, _BLOCK // len(values))
    means = [
        values[rng.integers(0, len(values), (min(block, resamples - start), len(values)))].mean(1)
        for start in range(0, resamples, block)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_p_value(
    first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray, resamples: int = 10_000, seed: int = 0
) -> float:
    """Two-sided p-value of "both methods have the same mean", from the differences on the same faces.

    A permutation test: under the hypothesis every difference might as well have the other sign, so the mean difference
    is compared with those after random sign flips. Never below 1 / (resamples + 1).

    Raises:
        OfhkitError: other numbers of values, none at all, NaN or infinity.

    >>> paired_p_value([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    1.0
    >>> paired_p_value(np.arange(50) + 0.1, np.arange(50)) < 0.001
    True
    """
    first, second = _finite(first), _finite(second)
    if len(first) != len(second):
        raise OfhkitError(
            f"a paired test needs both methods' values on the same faces, got {len(first)}, {len(second)}"
        )
    difference = first - second
    observed = abs(difference.sum())
    rng = np.random.Generator(np.random.Philox(seed))
    block = max(1, _BLOCK // len(difference))
    extreme = 0
    for start in range(0, resamples, block):
        heads = rng.integers(0, 2, (min(block, resamples - start), len(difference)), dtype=np.int8)
        flipped = difference.sum() - 2 * (heads @ difference)
        extreme += int((np.abs(flipped) >= observed * (1 - 1e-12)).sum())  # ties up to rounding count
    return (extreme + 1) / (resamples + 1)


def _finite(values: Sequence[float] | np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise OfhkitError("statistics need a list of at least one value")
    if not np.isfinite(values).all():
        raise OfhkitError(f"value {int(np.flatnonzero(~np.isfinite(values))[0])} of {len(values)} is not finite")
    return values
