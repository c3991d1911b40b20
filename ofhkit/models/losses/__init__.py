"""Loss terms; the names of their arguments say what they need."""

from ofhkit.models.losses.adversarial import AdversarialLoss, HingeLoss, RelativisticLoss
from ofhkit.models.losses.perceptual import LPIPSLoss
from ofhkit.models.losses.semantic_structure import SemanticStructureLoss
from ofhkit.models.losses.terms import (
    CompletionLoss,
    LandmarkLoss,
    LossTerm,
    ParsingLoss,
    PixelLoss,
    PSNRLoss,
    SSIMLoss,
)

__all__ = [
    "AdversarialLoss", "CompletionLoss", "HingeLoss", "LPIPSLoss", "LandmarkLoss", "LossTerm", "PSNRLoss",
    "ParsingLoss", "PixelLoss", "RelativisticLoss", "SSIMLoss", "SemanticStructureLoss",
]  # fmt: skip
