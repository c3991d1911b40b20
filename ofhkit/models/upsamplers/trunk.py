"""OFHNet+'s upsampler: a trunk where the face is 16x16, and a thin sub-pixel ladder to 128x128.

Reference: this toolkit's own. Its blocks are those of Y. Zhang, K. Li, K. Li, L. Wang, B. Zhong, Y. Fu, "Image
super-resolution using very deep residual channel attention networks", ECCV 2018, Section 3.3, its enlargement that of
W. Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
network", CVPR 2016, Section 3.2.

A million weights cost 0.26 GMAC at 16x16 and 16.4 at 128x128: the thinking is done on the small map. Faces are aligned,
so each place of that map has numbers of its own (``position``), which say where on the face it is.

Differs from the paper (Zhang et al.): no residual groups; the gate has one layer and reads the block's input, so that
it runs beside the convolutions; each x2 is followed by a ReLU; the bicubic enlargement is added at the end.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.errors import OfhkitError
from ofhkit.functional.resample import upsample_bicubic
from ofhkit.ops import Conv3x3, FusedTrunk
from ofhkit.registry import UPSAMPLERS


class GatedBlock(nn.Module):
    """``x + gate * conv(relu(conv(x)))``, with one gate in (0, 1) a channel that is read from the mean of ``x``.

    The result is held within +-``limit``. Faces do not come near it; what is no face (noise, a checkerboard) would grow
    from block to block beyond all numbers.
    """

    limit = 80.0

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = Conv3x3(channels, channels, padding=1)
        self.conv2 = Conv3x3(channels, channels, padding=1)
        self.gate = nn.Linear(channels, channels)
        nn.init.normal_(self.conv2.weight, std=1e-2)  # a block begins almost as the identity
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.conv1(x)))
        gate = torch.sigmoid(self.gate(x.mean((2, 3))))[:, :, None, None]
        return torch.addcmul(x, y, gate).clamp(-self.limit, self.limit)


@UPSAMPLERS.register_module()
class TrunkUpsampler(nn.Module):
    """Hallucinate a face larger by a power of two, with nearly all weights at the small face's size.

    Args:
        channels: width of the trunk.
        num_blocks: residual blocks of the trunk.
        ladder: widths after each x2, so ``scale`` is 2 to their number.
        size: side of the completed face; ``position`` is learnt for this size only.

    Shape:
        - completed: (N, 3, size, size) RGB in [0, 1]; mask: (N, 1, size, size), 1 = occluded
        - output: (N, 3, scale*size, scale*size), not clamped

    Raises:
        OfhkitError: faces of another size.

    >>> TrunkUpsampler(8, 2, (8, 8, 8))(torch.rand(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)).shape
    torch.Size([1, 3, 128, 128])
    """

    def __init__(self, channels: int = 96, num_blocks: int = 10, ladder: Sequence[int] = (64, 32, 16), size: int = 16):
        super().__init__()
        self.scale = 2 ** len(ladder)
        self.size = size
        self.first = nn.Conv2d(4, channels, 3, padding=1)
        self.position = nn.Parameter(torch.zeros(1, channels, size, size))
        self.blocks = nn.Sequential(*(GatedBlock(channels) for _ in range(num_blocks)))
        self.ladder = nn.ModuleList(Conv3x3(i, 4 * o, padding=1) for i, o in pairwise((channels, *ladder)))
        self.last = nn.Conv2d(ladder[-1], 3, 3, padding=1)
        nn.init.normal_(self.last.weight, std=1e-2)  # the first face is the bicubic enlargement
        nn.init.zeros_(self.last.bias)

    def forward(self, completed: Tensor, mask: Tensor) -> Tensor:
        if completed.shape[-2:] != self.position.shape[-2:]:
            raise OfhkitError(
                f"TrunkUpsampler takes faces of {self.size}x{self.size} pixels, whose places it has learnt, got "
                f"{tuple(completed.shape[-2:])}; build it with size={completed.shape[-1]} and train it anew"
            )
        x = self.first(torch.cat((2 * completed - 1, mask), 1)) + self.position  # 16x16
        x = self.blocks(x)
        for rung in self.ladder:
            x = F.relu(F.pixel_shuffle(rung(x), 2))  # 32x32, 64x64, 128x128
        return upsample_bicubic(completed, self.scale) + self.last(x)

    def fused(self) -> nn.Module:
        """Return the same function for inference; see :func:`ofhkit.ops.fuse`."""
        return FusedTrunk(self)
