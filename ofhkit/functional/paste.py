"""The step between the two networks: what was seen stays as it was seen."""

import torch
from torch import Tensor


def paste(known: Tensor, filled: Tensor, mask: Tensor) -> Tensor:
    """Keep the known pixels and take the others from ``filled`` (paper, Fig. 2).

    A selection, not a blend: pasted pixels are bit-equal to ``known`` in any precision.

    Args:
        known, filled: (N, C, H, W) of one dtype.
        mask: (N, 1, H, W), 1 = occluded.

    Returns:
        (N, C, H, W).

    >>> paste(torch.ones(1, 3, 1, 2), torch.zeros(1, 3, 1, 2), torch.tensor([[[[0.0, 1.0]]]]))[0, 0].tolist()
    [[1.0, 0.0]]
    """
    return torch.where(mask > 0.5, filled, known)
