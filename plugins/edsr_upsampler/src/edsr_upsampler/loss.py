"""Differences of neighbouring pixels, compared: a loss that sees edges and is blind to a shift in brightness.

Reference: M. Mathieu, C. Couprie, Y. LeCun, "Deep multi-scale video prediction beyond mean square error", ICLR 2016,
Section 3.2 (the gradient difference loss).

Differs from the paper: signed differences instead of absolute ones, a mean instead of a sum, exponent 1.
"""

from __future__ import annotations

from torch import Tensor

from ofhkit.models.losses import LossTerm
from ofhkit.registry import LOSSES


@LOSSES.register_module()
class GradientLoss(LossTerm):
    """Mean absolute error of horizontal and vertical differences.

    Args:
        weight: factor in the total loss.

    Shape:
        - sr, hr: (N, 3, H, W) in [0, 1]; output: scalar in intensity units a pixel
    """

    def __init__(self, weight: float = 0.1):
        super().__init__(weight)

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        error = sr - hr
        return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
