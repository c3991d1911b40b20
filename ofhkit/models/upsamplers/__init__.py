"""Upsamplers: ``(completed) -> sr``, or ``(completed, mask) -> sr``."""

from ofhkit.models.fitted import FittedUpsampler
from ofhkit.models.upsamplers.baselines import Bicubic, MeanFace
from ofhkit.models.upsamplers.fsrcnn import FSRCNN
from ofhkit.models.upsamplers.fsrnet import FSRNet
from ofhkit.models.upsamplers.linear import LinearUpsampler
from ofhkit.models.upsamplers.position_patch import PositionPatch
from ofhkit.models.upsamplers.residual import ResidualUpsampler
from ofhkit.models.upsamplers.sparnet import SPARNet
from ofhkit.models.upsamplers.trunk import TrunkUpsampler
from ofhkit.models.upsamplers.urdgn import URDGN
from ofhkit.models.upsamplers.vdsr import VDSR

__all__ = [
    "FSRCNN", "URDGN", "VDSR", "Bicubic", "FSRNet", "FittedUpsampler", "LinearUpsampler", "MeanFace",
    "PositionPatch", "ResidualUpsampler", "SPARNet", "TrunkUpsampler",
]  # fmt: skip
