"""Loss terms: one formula a file; the names of their arguments say what they need."""

from ofhkit.models.losses.adversarial import AdversarialLoss
from ofhkit.models.losses.base import LossTerm
from ofhkit.models.losses.parsing import ParsingLoss
from ofhkit.models.losses.perceptual import LPIPSLoss
from ofhkit.models.losses.pixel import CompletionLoss, LandmarkLoss, PixelLoss, PSNRLoss, SSIMLoss
from ofhkit.models.losses.semantic_structure import SemanticStructureLoss

__all__ = [
    "AdversarialLoss",
    "CompletionLoss",
    "LPIPSLoss",
    "LandmarkLoss",
    "LossTerm",
    "PSNRLoss",
    "ParsingLoss",
    "PixelLoss",
    "SSIMLoss",
    "SemanticStructureLoss",
]
