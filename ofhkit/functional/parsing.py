"""Face parsing labels: the legend, and what a mirror does to it.

Left and right are those of the picture, as everywhere else.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch

Labels = TypeVar("Labels", np.ndarray, torch.Tensor)

PARSING_LABELS = (
    "background", "skin", "left_brow", "right_brow", "left_eye", "right_eye", "nose", "upper_lip", "inner_mouth",
    "lower_lip", "hair", "ear", "neck", "cloth", "glasses", "hat",
)  # fmt: skip
"""Name of each value of a parsing map. Beards are skin, eyes are the visible eyeballs, lenses are glasses if dark."""

PARSING_FLIP = (0, 1, 3, 2, 5, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
"""The label that takes each label's place in the mirrored picture."""


def flip_parsing(parsing: Labels) -> Labels:
    """Labels of the mirrored picture: columns reversed, left and right change names; an involution.

    Shape:
        (..., H, W) integer labels 0..15 -> the same; numpy or torch.

    >>> flip_parsing(np.array([[0, 2, 4]])).tolist()
    [[5, 3, 0]]
    """
    if isinstance(parsing, torch.Tensor):
        table = torch.tensor(PARSING_FLIP, device=parsing.device).to(parsing.dtype)
        return table[parsing.flip(-1).long()]
    return np.asarray(PARSING_FLIP, parsing.dtype)[parsing[..., ::-1]]
