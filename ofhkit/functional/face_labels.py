"""The 68 landmarks and the parsing labels: what each means, and what a mirror does to it.

Landmarks, 0-based: jaw 0-16, brows 17-26, nose ridge 27-30, nostrils 31-35, eyes 36-47, outer lips 48-59, inner lips
60-67. Left and right are those of the picture.
"""

from typing import TypeVar

import numpy as np
import torch

Points = TypeVar("Points", np.ndarray, torch.Tensor)

LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)  # of the picture
EYES, NOSE, MOUTH = slice(36, 48), slice(27, 36), slice(48, 68)
NOSE_TIP, LEFT_MOUTH, RIGHT_MOUTH = 30, 48, 54

FLIP_68 = (
    *range(16, -1, -1),  # jaw
    *range(26, 16, -1),  # brows
    *range(27, 31),  # ridge
    *range(35, 30, -1),  # nostrils
    45, 44, 43, 42, 47, 46,  # right eye read as left
    39, 38, 37, 36, 41, 40,
    *range(54, 47, -1), *range(59, 54, -1),  # outer lips
    *range(64, 59, -1), *range(67, 64, -1),  # inner lips
)  # fmt: skip
FLIP_5 = (1, 0, 2, 4, 3)


def five_points(landmarks: Points) -> Points:
    """Eye centres, nose tip and mouth corners from 68 points (CelebA's five, in CelebA's order).

    Shape:
        landmarks (..., 68, 2) pixels -> (..., 5, 2) pixels; numpy or torch.

    >>> five_points(np.zeros((7, 68, 2))).shape
    (7, 5, 2)
    """
    stack = torch.stack if isinstance(landmarks, torch.Tensor) else np.stack
    eyes = [landmarks[..., part, :].mean(-2) for part in (LEFT_EYE, RIGHT_EYE)]
    return stack([*eyes, *(landmarks[..., i, :] for i in (NOSE_TIP, LEFT_MOUTH, RIGHT_MOUTH))], -2)


def flip_landmarks(landmarks: Points, width: int = 128) -> Points:
    """Points of the mirrored picture: x becomes ``width - 1 - x`` and left and right change names; an involution.

    Args:
        landmarks: 68 points, or CelebA's five.
        width: of the picture in pixels.

    Shape:
        (..., 68, 2) or (..., 5, 2) pixels, origin at the centre of the top-left pixel -> the same; numpy or torch.

    Raises:
        ValueError: neither 68 nor 5 points.

    >>> flip_landmarks(np.zeros((5, 2)))[:, 0].tolist()
    [127.0, 127.0, 127.0, 127.0, 127.0]
    """
    orders = {68: FLIP_68, 5: FLIP_5}
    if landmarks.shape[-2] not in orders:
        raise ValueError(f"expected 68 or 5 points, got {landmarks.shape[-2]}")
    flipped = landmarks[..., list(orders[landmarks.shape[-2]]), :]
    sign, offset = [-1.0, 1.0], [width - 1.0, 0.0]
    if isinstance(landmarks, torch.Tensor):
        return flipped * landmarks.new_tensor(sign) + landmarks.new_tensor(offset)
    return flipped * np.asarray(sign, flipped.dtype) + np.asarray(offset, flipped.dtype)


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
