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
from ofhkit.registry import LOSSES


@LOSSES.register_module()
class SemanticStructureLoss(LossTerm):
    """Mean squared difference of the landmarks of two faces, in units of the image side.

    The default weight is beta (not printed in the paper). No gradient flows through ``hr``.
    """

    def __init__(self, weight: float = 0.1):
        super().__init__(weight)

    def forward(self, sr: Tensor, hr: Tensor, landmark_prior: nn.Module) -> Tensor:
        with torch.no_grad():
            target = landmark_prior(hr)
        return F.mse_loss(landmark_prior(sr) / hr.shape[-1], target / hr.shape[-1])
