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

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.functional.resample import add_enlargement
from ofhkit.ops import (
    Conv3x3,
    FusedHead,
    FusedResidualBlock,
    UpsampleConv2d,
    UpsampledBatchNorm2d,
    WithEnlargement,
    fold,
    norm_relu_upsample,
    upsampling_head,
)
from ofhkit.registry import UPSAMPLERS


class ResidualBlock(nn.Module):
    """Conv-BN-ReLU-Conv-BN-ReLU-Conv plus a skip.

    ``bn3`` belongs to the nearest x2, BatchNorm and ReLU behind the block, which are left to the one that reads them.
    """

    def __init__(self, in_channels: int, channels: int, first: bool):
        super().__init__()
        if first:
            self.conv1: nn.Conv2d = Conv3x3(in_channels, channels, padding=1, bias=False)
        else:
            self.conv1 = UpsampleConv2d(in_channels, channels, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = Conv3x3(channels, channels, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = Conv3x3(channels, channels, padding=1, bias=False)
        self.skip = nn.Identity() if in_channels == channels else nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn3 = UpsampledBatchNorm2d(channels)

    def forward(self, x: Tensor, norm: nn.Module | None = None) -> Tensor:
        """Read the face, or nearest x2, BatchNorm (the block before's ``norm``) and ReLU of what that block gave."""
        readers = self.conv1, self.skip
        y, skip = (layer(x) for layer in readers) if norm is None else norm_relu_upsample(x, norm, *readers)
        y = F.relu(self.bn1(y), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        return self.conv3(y) + skip


@UPSAMPLERS.register_module()
class ResidualUpsampler(nn.Module):
    """Hallucinate a face eight times larger.

    Args:
        channels: width of each block; each doubles the side, so ``scale`` is 2 to their number.
        head_channels: widths of the head's hidden convolutions.
        image_skip: add the bicubic enlargement of the input, as VDSR does, and let the head say what it misses: twice
            its sigmoid, less one. Not in the paper; colors need not be learnt, so a short training gets further.

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
        head_channels: tuple[int, int] = (64, 32),
        image_skip: bool = False,
    ):
        super().__init__()
        self.image_skip = image_skip
        widths = (3, *channels)
        self.scale = 2 ** len(channels)
        self.blocks = nn.ModuleList(ResidualBlock(widths[i], widths[i + 1], first=i == 0) for i in range(len(channels)))
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
        x, norm = lr, None
        for block in self.blocks:
            x, norm = block(x, norm), block.bn3  # 16x16, 32x32, 64x64
        x = upsampling_head(x, self.head1, self.head2, self.head3, norm)  # 128x128
        return add_enlargement(x, lr) if self.image_skip else x

    def fused(self) -> nn.Module:
        """Return the same function for inference; see :func:`ofhkit.ops.fuse`."""
        network = nn.Sequential(
            *map(FusedResidualBlock, self.blocks),
            fold(self.head1, activation="relu"),
            FusedHead(fold(self.head2, activation="relu"), fold(self.head3, activation="sigmoid")),
        )
        return WithEnlargement(network) if self.image_skip else network
