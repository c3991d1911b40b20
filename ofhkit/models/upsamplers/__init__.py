"""Upsamplers: ``(lr) -> sr``."""

from ofhkit.models.upsamplers.residual import ResidualUpsampler

__all__ = ["ResidualUpsampler"]
