"""ofhkit: a 16x16 face with a hole in it becomes a complete 128x128 face.

Importing the package is cheap; torch and mmengine are loaded when something is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ofhkit.runtime.version import __version__

if TYPE_CHECKING:
    from ofhkit.evaluation.compare import compare
    from ofhkit.restoration.result import Result, find_mask, hallucinate
    from ofhkit.training.curriculum import Options, train
    from ofhkit.zoo import load_model
    from ofhkit.zoo.release import export_weights

_LAZY = {
    "Options": "training.curriculum",
    "Result": "restoration.result",
    "compare": "evaluation.compare",
    "export_weights": "zoo.release",
    "find_mask": "restoration.result",
    "hallucinate": "restoration.result",
    "load_model": "zoo",
    "train": "training.curriculum",
}
__all__ = [
    "Options",
    "Result",
    "__version__",
    "compare",
    "export_weights",
    "find_mask",
    "hallucinate",
    "load_model",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"ofhkit.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'ofhkit' has no attribute {name!r}")
