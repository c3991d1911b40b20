"""Inpainters: ``(lr, mask) -> lr_filled``."""

from ofhkit.models.inpainters.encoder_decoder import EncoderDecoder

__all__ = ["EncoderDecoder"]
