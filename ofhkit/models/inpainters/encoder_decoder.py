"""OFHNet's inpainting network (IN): an encoder to 1024 numbers and a decoder back to 16x16.

Reference: L. Yang, B. Shao, T. Sun, S. Ding, X. Zhang, "Hallucinating very low-resolution and obscured face
images", arXiv 1811.04645, 2018, Section 3.1 and Figure 2.

Differs from the paper, which leaves these open: the widths (the bottleneck of 1024 numbers at 4x4 gives 64), the
order Conv-BN-ReLU, and the mask as a fourth input channel, which is an option and off by default. As in
:mod:`ofhkit.models.upsamplers.residual`, the x2 is made by the convolution behind the BatchNorm and ReLU that
follow it on paper: the same function.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.models.layers import ConvBNReLU
from ofhkit.ops import FusedDecoderBlock, UpsampleConv2d, UpsampledBatchNorm2d, WithMask, fold, norm_relu_upsample
from ofhkit.registry import INPAINTERS


class DecoderBlock(nn.Module):
    """Nearest x2, BatchNorm, ReLU, Conv, BatchNorm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.bn1 = UpsampledBatchNorm2d(in_channels)
        self.conv = UpsampleConv2d(in_channels, out_channels, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        (x,) = norm_relu_upsample(x, self.bn1, self.conv)
        return F.relu(self.bn2(x), inplace=True)


@INPAINTERS.register_module()
class EncoderDecoder(nn.Module):
    """Fill the hole of a tiny face.

    Args:
        channels: widths of the four encoder blocks (strides 1, 1, 2, 2).
        decoder_channels: widths of the two decoder blocks and of the head's hidden convolution.
        mask_channel: also show the network the mask, as a fourth channel.

    Shape:
        - lr: (N, 3, H, W) RGB in [0, 1], zero in the hole; H and W multiples of 4
        - mask: (N, 1, H, W), 1 = occluded
        - output: (N, 3, H, W) in (0, 1)

    >>> EncoderDecoder()(torch.rand(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)).shape
    torch.Size([1, 3, 16, 16])
    """

    def __init__(
        self,
        channels: tuple[int, int, int, int] = (16, 32, 64, 64),
        decoder_channels: tuple[int, int, int] = (64, 32, 16),
        mask_channel: bool = False,
    ):
        super().__init__()
        self.mask_channel = mask_channel
        c1, c2, c3, c4 = channels
        d1, d2, d3 = decoder_channels
        self.encoder = nn.Sequential(
            ConvBNReLU(4 if mask_channel else 3, c1),
            ConvBNReLU(c1, c2),
            ConvBNReLU(c2, c3, stride=2),  # 8x8
            ConvBNReLU(c3, c4, stride=2),  # 4x4
        )
        self.decoder = nn.Sequential(
            DecoderBlock(c4, d1),  # 8x8
            DecoderBlock(d1, d2),  # 16x16
        )
        self.head1 = nn.Conv2d(d2, d3, 3, padding=1)
        self.head2 = nn.Conv2d(d3, 3, 3, padding=1)

    def forward(self, lr: Tensor, mask: Tensor) -> Tensor:
        x = torch.cat((lr, mask), dim=1) if self.mask_channel else lr
        x = self.decoder(self.encoder(x))
        x = F.relu(self.head1(x), inplace=True)
        return torch.sigmoid(self.head2(x))

    def fused(self) -> nn.Module:
        """Return the same function for inference; see :func:`ofhkit.ops.fuse`."""
        layers = nn.Sequential(
            *(block.fused() for block in self.encoder),
            *map(FusedDecoderBlock, self.decoder),
            fold(self.head1, activation="relu"),
            fold(self.head2, activation="sigmoid"),
        )
        return WithMask(layers, self.mask_channel)
