"""Where faces come from: CelebA files, packed arrays, folders, rendered heads."""

from ofhkit.datasets.image_folder import ImageFolder
from ofhkit.datasets.packed import PackedFaces
from ofhkit.datasets.synthetic import SyntheticFaces

__all__ = ["ImageFolder", "PackedFaces", "SyntheticFaces"]
