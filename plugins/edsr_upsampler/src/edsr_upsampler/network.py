"""EDSR: residual blocks without normalisation at low resolution, then sub-pixel convolutions.

Reference: B. Lim, S. Son, H. Kim, S. Nah, K. M. Lee, "Enhanced deep residual networks for single image
super-resolution", CVPR Workshops 2017, Section 3 (the baseline: 16 blocks of 64 channels).

Differs from the paper: 8 blocks, for 16x16 pixels; three doublings for x8, where the paper stops at 4; the bicubic
enlargement is added to the output and the last convolution starts at zero, so that training starts from it; inputs are
centred at one half instead of at the mean of DIV2K.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.errors import OfhkitError
from ofhkit.registry import UPSAMPLERS


class ResidualBlock(nn.Module):
    """Conv - ReLU - Conv, scaled, plus the input."""

    def __init__(self, channels: int, residual_scale: float):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.residual_scale = residual_scale

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual_scale * self.conv2(F.relu(self.conv1(x)))


@UPSAMPLERS.register_module()
class EDSR(nn.Module):
    """Hallucinate a face with residual blocks on the small map.

    Args:
        channels: width.
        num_blocks: residual blocks.
        scale: a power of two.
        residual_scale: factor on each block's branch.

    Shape:
        - input: (N, 3, H, W) in [0, 1]
        - output: (N, 3, scale*H, scale*W), not clamped

    Raises:
        OfhkitError: ``scale`` is no power of two.
    """

    def __init__(self, channels: int = 64, num_blocks: int = 8, scale: int = 8, residual_scale: float = 1.0):
        super().__init__()
        if scale < 2 or scale & (scale - 1):
            raise OfhkitError(f"EDSR: scale must be a power of two, got {scale}")
        self.scale = scale
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(channels, residual_scale) for _ in range(num_blocks)))
        self.join = nn.Conv2d(channels, channels, 3, padding=1)
        doublings = [nn.Conv2d(channels, 4 * channels, 3, padding=1) for _ in range(scale.bit_length() - 1)]
        self.tail = nn.Sequential(*(layer for conv in doublings for layer in (conv, nn.PixelShuffle(2))))
        self.last = nn.Conv2d(channels, 3, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, lr: Tensor) -> Tensor:
        x = self.head(lr - 0.5)
        x = x + self.join(self.body(x))
        enlarged = F.interpolate(lr, scale_factor=float(self.scale), mode="bicubic", align_corners=False)
        return enlarged + self.last(self.tail(x))  # 128x128
