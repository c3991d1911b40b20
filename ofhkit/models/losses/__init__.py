"""Loss terms; the names of their arguments say what they need."""

from ofhkit.models.losses.adversarial import AdversarialLoss, HingeLoss, RelativisticLoss
from ofhkit.models.losses.perceptual import LPIPSLoss
from ofhkit.models.losses.semantic_structure import SemanticStructureLoss
from ofhkit.models.losses.terms import (
    CoarseLoss,
    CompletionLoss,
    HeatmapLoss,
    L1Loss,
    LandmarkLoss,
    LossTerm,
    ParsingLoss,
    PixelLoss,
    PSNRLoss,
    SSIMLoss,
)

__all__ = [
    "AdversarialLoss", "CoarseLoss", "CompletionLoss", "HeatmapLoss", "HingeLoss", "L1Loss", "LPIPSLoss",
    "LandmarkLoss", "LossTerm", "PSNRLoss", "ParsingLoss", "PixelLoss", "RelativisticLoss", "SSIMLoss",
    "SemanticStructureLoss",
]  # fmt: skip
