"""Hooks of the runner, one concern a file."""

from ofhkit.engine.hooks.averaging import AverageWeights
from ofhkit.engine.hooks.best import KeepBest
from ofhkit.engine.hooks.guard import StopOnNaN
from ofhkit.engine.hooks.normalisation import FreezeNorm
from ofhkit.engine.hooks.progress import Progress
from ofhkit.engine.hooks.samples import SampleGrid
from ofhkit.engine.hooks.saving import SaveCheckpoint
from ofhkit.engine.hooks.validation import Validate

__all__ = [
    "AverageWeights",
    "FreezeNorm",
    "KeepBest",
    "Progress",
    "SampleGrid",
    "SaveCheckpoint",
    "StopOnNaN",
    "Validate",
]
