"""Sections of ``report.html`` that other people write: components of role ``hook``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ofhkit.errors import OfhkitError, did_you_mean

__all__ = ["CONTENT", "run_section"]

CONTENT = {
    "rows": "one dict a method: its name under `method`, metrics and costs as plain numbers",
    "per_image": "method -> image index -> metric -> value",
    "faces": "`lr`, `completed`, every method and `hr` -> (N, 3, H, W) float RGB in [0, 1]: the faces shown",
    "protocol": "data, split, color, seeds, checkpoints: what stands under the tables",
}


def run_section(section: Callable[..., Any], content: Mapping[str, Any]) -> str | np.ndarray:
    """Call a section with what its parameters name; returns HTML (or SVG) text, or a picture (H, W, 3) uint8 RGB.

    Args:
        content: the values of :data:`CONTENT`.

    Raises:
        OfhkitError: it asks for something else, or returns something else.

    >>> run_section(lambda rows: f'{len(rows)} methods', {'rows': [{'method': 'A'}]})
    '1 methods'
    """
    name = getattr(section, "__name__", type(section).__name__)
    wanted = [p.name for p in inspect.signature(section).parameters.values()]
    for key in wanted:
        if key not in content:
            raise OfhkitError(f"report section {name} takes {key!r}; {did_you_mean(key, CONTENT)}")
    result = section(**{key: content[key] for key in wanted})
    picture = isinstance(result, np.ndarray) and result.dtype == np.uint8 and result.ndim == 3 and result.shape[2] == 3
    if not (picture or isinstance(result, str)):
        what = f"{result.dtype} {result.shape}" if isinstance(result, np.ndarray) else type(result).__name__
        raise OfhkitError(f"report section {name} returns {what}; expected text or a picture (H, W, 3) uint8")
    return result
