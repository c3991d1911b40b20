"""From anybody's picture to a restored one: reading, the hole, the face, the network, and honest results."""

from ofhkit.restoration.composition import draw_overlay, draw_uncertainty
from ofhkit.restoration.masks import Mask, MaskOptions, read_mask
from ofhkit.restoration.pictures import Picture, read_pictures, to_picture
from ofhkit.restoration.restorer import Outcome, RestoredFace, Restorer
from ofhkit.restoration.result import Result, find_mask, hallucinate
from ofhkit.restoration.session import restore_files
from ofhkit.restoration.writing import png

__all__ = [
    "Mask", "MaskOptions", "Outcome", "Picture", "RestoredFace", "Restorer", "Result", "draw_overlay",
    "draw_uncertainty", "find_mask", "hallucinate", "png", "read_mask", "read_pictures", "restore_files", "to_picture",
]  # fmt: skip
