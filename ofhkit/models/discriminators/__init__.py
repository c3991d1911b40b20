"""Discriminators: ``(hr) -> logits``."""

from ofhkit.models.discriminators.face_discriminator import FaceDiscriminator

__all__ = ["FaceDiscriminator"]
