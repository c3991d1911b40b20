"""An inpainter of gated convolutions that sees the mask.

Reference: J. Yu, Z. Lin, J. Yang, X. Shen, X. Lu, T. Huang, "Free-form image inpainting with gated convolution", ICCV
2019, Section 3.1 (Equation 2).

Differs from the paper: one stage instead of two and no contextual attention, for 16x16 pixels; no discriminator; a
dilated middle at 8x8; ELU as there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.registry import INPAINTERS


class GatedConv(nn.Module):
    """ELU of one convolution, times the sigmoid of another: the gate."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, dilation: int = 1):
        super().__init__()
        padding = dilation * (kernel_size - 1) // 2
        self.conv = nn.Conv2d(in_channels, 2 * out_channels, kernel_size, stride, padding, dilation)

    def forward(self, x: Tensor) -> Tensor:
        feature, gate = self.conv(x).chunk(2, dim=1)
        return F.elu(feature) * torch.sigmoid(gate)


@INPAINTERS.register_module()
class GatedInpainter(nn.Module):
    """Fill the hole of a tiny face.

    Args:
        channels: width at full resolution; doubled at half of it.
        num_blocks: dilated layers at half resolution, with dilations 1, 2, 4, ...

    Shape:
        - lr: (N, 3, H, W) RGB in [0, 1], zero in the hole; H and W even
        - mask: (N, 1, H, W), 1 = occluded
        - output: (N, 3, H, W) in (0, 1)
    """

    def __init__(self, channels: int = 24, num_blocks: int = 3):
        super().__init__()
        wide = 2 * channels
        self.encoder = nn.Sequential(GatedConv(4, channels, 5), GatedConv(channels, wide, stride=2))  # 8x8
        self.middle = nn.Sequential(*(GatedConv(wide, wide, dilation=2**i) for i in range(num_blocks)))
        self.decoder = GatedConv(wide, channels)
        self.head = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, lr: Tensor, mask: Tensor) -> Tensor:
        x = self.encoder(torch.cat((lr, mask), dim=1))
        x = x + self.middle(x)
        x = self.decoder(F.interpolate(x, scale_factor=2.0, mode="nearest"))  # 16x16
        return torch.sigmoid(self.head(x))
