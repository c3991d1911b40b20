"""Discriminators: ``(hr) -> logits``."""

from ofhkit.models.discriminators.face_discriminator import FaceDiscriminator
from ofhkit.models.discriminators.urdgn_discriminator import URDGNDiscriminator

__all__ = ["FaceDiscriminator", "URDGNDiscriminator"]
