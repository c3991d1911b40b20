"""Importing the package registers its inpainter with ofhkit."""

from gated_inpainter.network import GatedConv, GatedInpainter

__all__ = ["GatedConv", "GatedInpainter"]
