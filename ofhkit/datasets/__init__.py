"""Where faces come from: CelebA files, packed arrays, folders, rendered heads."""

from ofhkit.datasets.packed import PackedFaces

__all__ = ["PackedFaces"]
