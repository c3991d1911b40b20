"""OFHNet's discriminator (D): six strided convolutions, one more, and a dense layer.

Reference: L. Yang, B. Shao, T. Sun, S. Ding, X. Zhang, "Hallucinating very low-resolution and obscured face
images", arXiv 1811.04645, 2018, Section 3.3.

Differs from the paper, which leaves these open: 4x4 kernels of stride 2, widths 32 to 512, a closing 3x3 convolution
of 64. The sigmoid is part of the loss (logits are returned), so that no log(0) can occur.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from ofhkit.models.layers import ConvBNReLU
from ofhkit.registry import DISCRIMINATORS


@DISCRIMINATORS.register_module()
class FaceDiscriminator(nn.Module):
    """Tell real faces from hallucinated ones.

    Args:
        channels: widths of the strided blocks; each halves the side of the 128x128 face.
        out_channels: width of the last convolution.
        image_size: side of the face.

    Shape:
        - input: (N, 3, image_size, image_size) RGB in [0, 1]
        - output: (N, 1) logits, positive = real

    >>> import torch
    >>> FaceDiscriminator()(torch.rand(2, 3, 128, 128)).shape
    torch.Size([2, 1])
    """

    def __init__(
        self, channels: Sequence[int] = (32, 64, 128, 256, 512, 512), out_channels: int = 64, image_size: int = 128
    ):
        super().__init__()
        widths = (3, *channels)
        self.blocks = nn.Sequential(
            *(ConvBNReLU(widths[i], widths[i + 1], kernel_size=4, stride=2) for i in range(len(channels)))
        )
        self.conv = nn.Conv2d(widths[-1], out_channels, 3, padding=1)  # 2x2
        self.fc = nn.Linear(out_channels * (image_size >> len(channels)) ** 2, 1)

    def forward(self, hr: Tensor) -> Tensor:
        return self.fc(self.conv(self.blocks(hr)).flatten(1))
