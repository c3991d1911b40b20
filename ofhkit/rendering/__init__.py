"""Faces rendered from a CC0 head model, with exact landmarks and parsing labels; no file is fetched.

From the floor up: ``head`` (mesh), ``raster``, ``atlas`` (maps of the skin), ``noise``, ``visibility`` (shadows),
``scene`` (everything drawn by chance), ``camera``, ``skin``, ``eyes``, ``light``, ``hair``, ``accessories``,
``backdrop``, ``labels``, ``render`` (puts them together), ``workers``, ``dataset``.
"""

from ofhkit.rendering.dataset import SyntheticFaces

__all__ = ["SyntheticFaces"]
