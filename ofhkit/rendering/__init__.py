"""Faces rendered from a CC0 head model, with exact landmarks and parsing labels; no file is fetched.

From the floor up: ``head`` (mesh), ``raster`` (z-buffer, shadows), ``atlas`` (maps of the skin), ``scene`` (everything
drawn by chance), ``camera`` (and labels), ``skin`` (eyes, light), ``hair`` (and hats), ``accessories``, ``render``
(puts them together), ``dataset``.
"""

from ofhkit.rendering.dataset import SyntheticFaces

__all__ = ["SyntheticFaces"]
