"""What is to be prepared of a CelebA folder: which faces, in which order and split, aligned to which points."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from ofhkit.data.celeba.files import CelebA
from ofhkit.errors import OfhkitError
from ofhkit.files import ASSETS
from ofhkit.functional.alignment import DEFAULT_TEMPLATE


def load_template(path: str | Path | None) -> np.ndarray:
    """Read five points (left eye, right eye, nose, left and right mouth corner; pixels of a 128x128 crop) from JSON.

    Args:
        path: file whose ``points`` are the five pairs; the name of one that ships (``celeba_native``); None for the
            default template.

    Raises:
        OfhkitError: the file cannot be read or does not hold five points.
    """
    if path is None:
        return np.array(DEFAULT_TEMPLATE)
    shipped = ASSETS / f"template_{path}.json"
    try:
        points = np.array(json.loads((shipped if shipped.is_file() else Path(path)).read_text())["points"], np.float64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OfhkitError(
            f"the template {path} cannot be read ({error!r}); expected JSON with 'points': five [x, y]"
        ) from None
    if points.shape != (5, 2) or not np.isfinite(points).all() or np.ptp(points, 0).min() < 1:
        raise OfhkitError(f"the template {path} does not hold five different points [x, y]")
    return points


def choose(celeba: CelebA, split: str, limit: int | None, seed: int) -> np.ndarray:
    """Rows of ``celeba`` to look at, in the order in which they enter the pack.

    The official order is the list's own; a limit takes the first of every split, in proportion. The paper's split is
    random: a seeded permutation, whose first faces become the test set.

    Raises:
        OfhkitError: there is no partition list, or it leaves training or test without a face.
    """
    total = len(celeba.names)
    if split == "paper":
        return np.random.default_rng(seed).permutation(total)[:limit]
    if celeba.split is None:
        raise OfhkitError(
            f"no list_eval_partition.txt or .csv beside {celeba.images.path}; put it there or use --split paper"
        )
    for value, label in ((0, "train"), (2, "test")):
        if not (celeba.split == value).any():
            raise OfhkitError(
                f"the partition list gives no picture of {celeba.images.path} to the {label} split ({value}); "
                "use CelebA's own list or --split paper"
            )
    share = np.zeros(total)
    for value in np.unique(celeba.split):
        rows = np.flatnonzero(celeba.split == value)
        share[rows] = np.arange(len(rows)) / len(rows)
    return np.sort(np.argsort(share, kind="stable")[:limit])


def fingerprint(celeba: CelebA, order: np.ndarray) -> str:
    """Digest of what is to be prepared: names, points and splits in order (the pictures themselves are not read)."""
    digest = hashlib.sha256("\n".join(celeba.names[i] for i in order).encode())
    for array in (celeba.points5, celeba.points68, celeba.split):
        digest.update(b"-" if array is None else array[order].tobytes())
    return digest.hexdigest()[:16]
