"""OFHNet's upsampling network (UN): three residual blocks, each followed by nearest x2, BatchNorm and ReLU.

Reference: L. Yang, B. Shao, T. Sun, S. Ding, X. Zhang, "Hallucinating very low-resolution and obscured face
images", arXiv 1811.04645, 2018, Section 3.2 and Figure 3.

Differs from the paper, which leaves these open: 3x3 convolutions throughout, widths 256, 128, 64 (the paper writes C
and prints no number), a 1x1 projection on the skip where the width changes, and a head of 64, 32, 3 channels. The
option ``image_skip`` is ours. The
text's order "nearest x2, BN, ReLU" is kept as a function but not as an order of work: normalisation and ReLU act
on every pixel alike and commute with nearest x2, so they run on the small map, and the x2 is made by the
convolution that reads it (:mod:`ofhkit.ops`). Outputs, gradients and running statistics are the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.functional.resample import upsample_bicubic
from ofhkit.ops import (
    Conv3x3,
    FusedHead,
    UpsampleConv2d,
    UpsampledBatchNorm2d,
    fold,
    fold_skip,
    upsample_nearest,
    upsampling_head,
)
from ofhkit.registry import UPSAMPLERS


class ResidualBlock(nn.Module):
    """Conv-BN-ReLU-Conv-BN-ReLU-Conv plus a skip, then (nearest x2,) BatchNorm, ReLU.

    The closing x2 is left to the next layer; ``upsample_input`` says that this block makes that of the one before.
    """

    def __init__(self, in_channels: int, channels: int, upsample_input: bool):
        super().__init__()
        if upsample_input:
            self.conv1: nn.Conv2d = UpsampleConv2d(in_channels, channels, 3, bias=False)
        else:
            self.conv1 = Conv3x3(in_channels, channels, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = Conv3x3(channels, channels, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = Conv3x3(channels, channels, padding=1, bias=False)
        self.skip = nn.Identity() if in_channels == channels else nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn3 = UpsampledBatchNorm2d(channels)
        self.upsample_input = upsample_input

    def forward(self, x: Tensor) -> Tensor:
        skip = self.skip(x)
        if self.upsample_input:
            skip = upsample_nearest(skip)
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.conv3(y) + skip
        return F.relu(self.bn3(y), inplace=True)

    def fused(self) -> nn.Module:
        """Return the same block with its normalisations folded, for inference."""
        return FusedResidualBlock(self)


class FusedResidualBlock(nn.Module):
    """A :class:`ResidualBlock` in three convolutions: the last normalisation's scale goes into both branches."""

    def __init__(self, block: ResidualBlock):
        super().__init__()
        self.conv1 = fold(block.conv1, block.bn1, "relu")
        self.conv2 = fold(block.conv2, block.bn2, "relu")
        self.conv3 = fold(block.conv3, block.bn3, "relu")
        self.skip = fold_skip(block.skip, block.bn3)
        self.upsample_input = block.upsample_input

    def forward(self, x: Tensor) -> Tensor:
        skip = self.skip(x)
        if self.upsample_input:
            skip = upsample_nearest(skip)
        return self.conv3(self.conv2(self.conv1(x)), skip)


def add_enlargement(detail: Tensor, lr: Tensor) -> Tensor:
    """The bicubic enlargement of ``lr`` plus ``detail``, which (0, 1) is stretched to (-1, 1)."""
    return 2 * detail - 1 + upsample_bicubic(lr, detail.shape[-1] // lr.shape[-1])


class WithEnlargement(nn.Module):
    """A network that says what the bicubic enlargement of its input misses."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, lr: Tensor) -> Tensor:
        return add_enlargement(self.network(lr), lr)


@UPSAMPLERS.register_module()
class ResidualUpsampler(nn.Module):
    """Hallucinate a face eight times larger.

    Args:
        channels: width of each block; each doubles the side, so ``scale`` is 2 to their number.
        head_channels: widths of the head's hidden convolutions.
        image_skip: add the bicubic enlargement of the input, as VDSR does, and let the head say what it misses: twice
            its sigmoid, less one. Not in the paper; colours need not be learnt, so a short training gets further.

    Shape:
        - input: (N, 3, H, W) RGB in [0, 1]
        - output: (N, 3, scale*H, scale*W) in (0, 1); with ``image_skip`` it may leave that range a little

    >>> import torch
    >>> ResidualUpsampler(channels=(8, 8, 8), head_channels=(8, 4))(torch.rand(1, 3, 16, 16)).shape
    torch.Size([1, 3, 128, 128])
    """

    def __init__(
        self,
        channels: Sequence[int] = (256, 128, 64),
        head_channels: Sequence[int] = (64, 32),
        image_skip: bool = False,
    ):
        super().__init__()
        self.image_skip = image_skip
        widths = (3, *channels)
        self.scale = 2 ** len(channels)
        self.blocks = nn.Sequential(
            *(ResidualBlock(widths[i], widths[i + 1], upsample_input=i > 0) for i in range(len(channels)))
        )
        self.head1 = UpsampleConv2d(widths[-1], head_channels[0], 3)
        self.head2 = nn.Conv2d(head_channels[0], head_channels[1], 3, padding=1)
        self.head3 = nn.Conv2d(head_channels[1], 3, 3, padding=1)

        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        nn.init.normal_(self.head3.weight, std=0.3 / (9 * head_channels[1]) ** 0.5)  # a first face of even grey

    def forward(self, lr: Tensor) -> Tensor:
        x = self.blocks(lr)  # (N, 64, 64, 64) for 16x16
        x = upsampling_head(x, self.head1, self.head2, self.head3)
        return add_enlargement(x, lr) if self.image_skip else x

    def fused(self) -> nn.Module:
        """Return the same function for inference; see :func:`ofhkit.ops.fuse`."""
        network = nn.Sequential(
            *(block.fused() for block in self.blocks),
            fold(self.head1, activation="relu"),
            FusedHead(fold(self.head2, activation="relu"), fold(self.head3, activation="sigmoid")),
        )
        return WithEnlargement(network) if self.image_skip else network
