"""The whole pipeline: complete, paste, upsample; and the training of its parts."""

from ofhkit.models.hallucinators.base import BaseHallucinator, freeze, upsampler_inputs
from ofhkit.models.hallucinators.face_hallucinator import FaceHallucinator
from ofhkit.models.hallucinators.pretraining import InpainterPretraining, LandmarkPretraining, ParserPretraining

__all__ = [
    "BaseHallucinator",
    "FaceHallucinator",
    "InpainterPretraining",
    "LandmarkPretraining",
    "ParserPretraining",
    "freeze",
    "upsampler_inputs",
]
