"""Hooks of the runner, one concern a file."""

from ofhkit.training.hooks.averaging import AverageWeights
from ofhkit.training.hooks.best import KeepBest
from ofhkit.training.hooks.guard import StopOnNaN
from ofhkit.training.hooks.normalisation import FreezeNorm
from ofhkit.training.hooks.progress import Progress
from ofhkit.training.hooks.samples import SampleGrid
from ofhkit.training.hooks.saving import SaveCheckpoint
from ofhkit.training.hooks.validation import Validate

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
