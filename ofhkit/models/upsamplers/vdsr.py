"""VDSR: twenty 3x3 convolutions predict what bicubic interpolation misses.

Reference: J. Kim, J. K. Lee, K. M. Lee, "Accurate image super-resolution using very deep convolutional networks",
CVPR 2016, Section 3.

Differs from the paper: RGB instead of luminance, one scale of 8 instead of 2, 3 and 4 in one network, whole faces
instead of 41x41 patches. The paper clips gradients to +-theta/lr (Section 3.2), which is the optimiser's matter.
"""

from itertools import pairwise

from torch import Tensor, nn

from ofhkit.functional.resample import upsample_bicubic
from ofhkit.registry import UPSAMPLERS


@UPSAMPLERS.register_module()
class VDSR(nn.Module):
    """Enlarge a face by bicubic interpolation and add a learned residual.

    Args:
        in_channels: colors.
        channels: width of the hidden layers.
        num_blocks: number of convolutions, all counted.
        scale: how many times larger.

    Shape:
        - input: (N, in_channels, H, W) in [0, 1]
        - output: (N, in_channels, scale*H, scale*W), not clamped

    >>> import torch
    >>> VDSR(num_blocks=3)(torch.rand(1, 3, 16, 16)).shape
    torch.Size([1, 3, 128, 128])
    """

    def __init__(self, in_channels: int = 3, channels: int = 64, num_blocks: int = 20, scale: int = 8):
        super().__init__()
        self.scale = scale
        widths = (in_channels, *[channels] * (num_blocks - 1), in_channels)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
        self.residual = nn.Sequential(*layers[:-1])
        for layer in self.residual:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)

    def forward(self, lr: Tensor) -> Tensor:
        x = upsample_bicubic(lr, self.scale)  # 128x128
        return x + self.residual(x)
