"""The semantic structure loss: the hallucinated face must have its landmarks where the true one has them.

Reference: arXiv 1811.04645, Equation 5: ||A(h') - A(h)||^2 over the last layer of the frozen landmark network A.

Differs from the paper, which prints neither units nor beta: a mean over coordinates, in units of the image side, so
that the weight does not depend on the size of the face.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.models.losses.base import LossTerm
from ofhkit.models.losses.micro_batched import micro_batched_loss
from ofhkit.registry import LOSSES


@LOSSES.register_module()
class SemanticStructureLoss(LossTerm):
    """Mean squared difference of the landmarks of two faces, in units of the image side.

    The default weight is beta (not printed in the paper). No gradient flows through ``hr`` nor into the network.

    Shape:
        - ``sr``, ``hr``: (N, 3, H, W) RGB in [0, 1]
        - ``hr_landmarks``: (N, P, 2), what the network says of ``hr`` where that is known already
    """

    def __init__(self, weight: float = 0.1):
        super().__init__(weight)

    def forward(self, sr: Tensor, hr: Tensor, landmark_prior: nn.Module, hr_landmarks: Tensor | None = None) -> Tensor:
        side = hr.shape[-1]
        if hr_landmarks is None:
            with torch.no_grad():
                hr_landmarks = landmark_prior(hr)
        target = hr_landmarks / side

        def summed(sr: Tensor, part: slice) -> Tensor:
            return F.mse_loss(landmark_prior(sr) / side, target[part], reduction="sum")

        return micro_batched_loss(summed, sr) / target.numel()
