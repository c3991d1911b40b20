"""Importing the package registers its upsampler and its loss with ofhkit."""

from edsr_upsampler.loss import GradientLoss
from edsr_upsampler.network import EDSR

__all__ = ["EDSR", "GradientLoss"]
