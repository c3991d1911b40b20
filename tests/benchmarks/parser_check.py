"""Is a parser right on real faces? Without pixel labels: its labels at points whose place in the face is known."""

from typing import Any

import torch
from torch import Tensor, nn

from ofhkit.data.sampler import in_batches
from ofhkit.functional.face_labels import PARSING_LABELS

__all__ = ["PLACES", "check_parser"]

_LIPS = ("upper_lip", "inner_mouth", "lower_lip")
PLACES: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "left eye": ((36, 37, 38, 39, 40, 41), ("left_eye", "glasses")),
    "right eye": ((42, 43, 44, 45, 46, 47), ("right_eye", "glasses")),
    "left brow": ((18, 19, 20), ("left_brow", "hair", "glasses")),
    "right brow": ((23, 24, 25), ("right_brow", "hair", "glasses")),
    "bridge of the nose": ((28, 29), ("nose", "glasses")),
    "tip of the nose": ((30, 33), ("nose",)),
    "upper lip": ((51, 62), ("upper_lip",)),
    "lower lip": ((57, 66), ("lower_lip",)),
    "mouth": ((60, 62, 64, 66), _LIPS),
    "left cheek": ((3, 31), ("skin",)),
    "right cheek": ((13, 35), ("skin",)),
}
"""Place -> (landmarks whose mean is that place, labels that are right there)."""


@torch.no_grad()
def check_parser(parser: nn.Module, faces: Any, batch_size: int = 64) -> dict[str, float]:
    """Share of faces whose label at each place of :data:`PLACES` is right, in percent.

    Args:
        parser: of role prior, in eval mode.
        faces: a data set with ``hr`` and ``landmarks``.

    Returns:
        place -> percent, and their mean under ``mean``.
    """
    right = dict.fromkeys(PLACES, 0)
    for batch in in_batches(faces, batch_size):
        labels = parser(batch["hr"].float() / 255).argmax(1)
        for place, (points, allowed) in PLACES.items():
            found = _at(labels, batch["landmarks"][:, points].mean(1))
            wanted = torch.tensor([PARSING_LABELS.index(name) for name in allowed])
            right[place] += int(torch.isin(found, wanted).sum())
    shares = {place: 100 * count / len(faces) for place, count in right.items()}
    return shares | {"mean": sum(shares.values()) / len(shares)}


def _at(labels: Tensor, points: Tensor) -> Tensor:
    """Labels (N, H, W) at one point (N, 2) a face, (x, y) in pixels."""
    height, width = labels.shape[1:]
    x, y = points[:, 0].round().long().clamp(0, width - 1), points[:, 1].round().long().clamp(0, height - 1)
    return labels[torch.arange(len(labels)), y, x]
