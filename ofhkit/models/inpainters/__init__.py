"""Inpainters: ``(lr, mask) -> lr_filled``."""

from ofhkit.models.inpainters.encoder_decoder import EncoderDecoder
from ofhkit.models.inpainters.gaussian import GaussianInpainter
from ofhkit.models.inpainters.partial_conv import PartialConvInpainter
from ofhkit.models.inpainters.spectral import SpectralInpainter
from ofhkit.models.inpainters.telea import Telea

__all__ = ["EncoderDecoder", "GaussianInpainter", "PartialConvInpainter", "SpectralInpainter", "Telea"]
