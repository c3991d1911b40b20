"""What comes of a picture: its restored faces, itself, what was taken as hidden, and why it failed if it did."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ofhkit.restoration.masks import Mask
from ofhkit.restoration.pictures import Picture

__all__ = ["Outcome", "RestoredFace"]


@dataclass(frozen=True)
class RestoredFace:
    """One face of a picture.

    Attributes:
        sr: (128, 128, 3) uint8. Hallucinated: not for identification.
        seen: (128, 128, 3) uint8: the crop it was made from, hole filled by diffusion; None for a tiny face.
        filled: (128, 128, 3) uint8: the crop with its hole completed from all its known pixels; None where it has no
            hole, is no part of a photograph or where no completer was given.
        lr, completed: (16, 16, 3) uint8: what the network saw, black in the hole; the hole filled.
        mask: (16, 16) bool, True = occluded.
        invented: (128, 128) bool: pixels that stem from occluded ones.
        matrix: (2, 3) from picture to crop; None for a tiny face.
        score: the detector's; NaN where no detector was asked.
        consistency: PSNR in dB between ``sr``, shrunk again, and the known pixels.
        uncertainty: (128, 128) float32: standard deviation; None where it was not asked for.
        samples: (S, 128, 128, 3) uint8: other answers that fit as well; None where they were not asked for.
    """

    sr: np.ndarray
    seen: np.ndarray | None
    lr: np.ndarray
    completed: np.ndarray
    mask: np.ndarray
    invented: np.ndarray
    matrix: np.ndarray | None
    score: float
    consistency: float
    uncertainty: np.ndarray | None
    samples: np.ndarray | None
    filled: np.ndarray | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a picture.

    Attributes:
        kind: tiny, aligned or photo; empty where it failed.
        image: the restored picture, (H, W, 3) uint8: a photograph in its own size, else the face in 128x128; None
            where it failed.
        pixels: a restored photograph as its file held it, (H, W, 1 to 4) uint8 or uint16: grey or RGB, then
            transparency; None for all else.
        untouched: a photograph without a hole: ``image`` is the picture itself, the faces are beside it.
        error: why it failed, in one sentence; None where it did not.
        problem: the same without the remedy, where the command line has one.
        mask: what was taken as hidden; None where that was not found out.
        notes: what was done, and warnings.
    """

    picture: Picture
    kind: str = ""
    image: np.ndarray | None = None
    faces: tuple[RestoredFace, ...] = ()
    mask: Mask | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None
    pixels: np.ndarray | None = None
    untouched: bool = False
    problem: str = ""
