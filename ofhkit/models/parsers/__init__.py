"""Parsers: ``(hr) -> logits (N, classes, H, W)``."""

from ofhkit.models.parsers.face_parser import FaceParser

__all__ = ["FaceParser"]
