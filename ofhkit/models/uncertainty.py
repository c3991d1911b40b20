"""How sure a model is: several readings of one input, and how far they lie apart, pixel by pixel.

The readings differ in what should not matter: the face mirrored, the hole a pixel wider, both, and the hole filled by
diffusion from its rim instead of the network. Where they disagree the answer is a guess.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.registry import INPAINTERS

__all__ = ["uncertainty_of"]


def uncertainty_of(model: nn.Module, lr: Tensor, mask: Tensor, sr: Tensor) -> Tensor:
    """Standard deviation over the readings, averaged over the channels.

    Args:
        sr: the model's own answer, the first reading.

    Shape:
        lr (N, 3, 16, 16) black under the hole, mask (N, 1, 16, 16), sr (N, 3, 128, 128) -> (N, 128, 128)
    """
    wider = F.max_pool2d(mask, 3, 1, 1)
    diffused = INPAINTERS.build(dict(type="Telea"))(lr, mask)
    readings = [
        sr,
        model.predict(lr.flip(-1), mask.flip(-1))["sr"].flip(-1),
        model.predict(lr * (1 - wider), wider)["sr"],
        model.predict((lr * (1 - wider)).flip(-1), wider.flip(-1))["sr"].flip(-1),
        model.upsample(torch.where(mask > 0.5, diffused.to(lr.dtype), lr), mask).float().clamp(0, 1),
    ]
    return torch.stack(readings).std(0, unbiased=False).mean(1)
