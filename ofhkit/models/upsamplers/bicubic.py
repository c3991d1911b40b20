"""Bicubic interpolation, the baseline without parameters.

Reference: R. G. Keys, "Cubic convolution interpolation for digital image processing", IEEE Transactions on
Acoustics, Speech, and Signal Processing 29(6), 1981; compared with in arXiv 1811.04645, Table 1.

Differs from the paper: the coefficient is torch's, a = -0.75, where Keys has -0.5.
"""

from __future__ import annotations

from torch import Tensor, nn

from ofhkit.functional.resample import upsample_bicubic
from ofhkit.registry import UPSAMPLERS


@UPSAMPLERS.register_module()
class Bicubic(nn.Module):
    """Enlarge a face by bicubic interpolation.

    Args:
        scale: how many times larger.

    Shape:
        - input: (N, C, H, W) in [0, 1]
        - output: (N, C, scale*H, scale*W), slightly beyond [0, 1] at edges

    >>> import torch
    >>> Bicubic()(torch.rand(1, 3, 16, 16)).shape
    torch.Size([1, 3, 128, 128])
    """

    def __init__(self, scale: int = 8):
        super().__init__()
        self.scale = scale

    def forward(self, lr: Tensor) -> Tensor:
        return upsample_bicubic(lr, self.scale)
