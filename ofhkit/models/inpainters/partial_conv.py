"""FCSR-GAN's completion: a U-Net of partial convolutions, which read known places only.

Reference: J. Cai, H. Han, S. Shan, X. Chen, "FCSR-GAN: joint face completion and super-resolution via multi-task
learning", IEEE TBIOM 2(2), 2020 (arXiv 1911.01045), Section III; the layers are those of G. Liu et al., "Image
inpainting for irregular holes using partial convolutions", ECCV 2018, Section 3.

Differs from the paper: it completes the face of 16x16, so there are four levels instead of seven at 128x128; a sigmoid
at the end; no VGG losses, whose weights do not ship, and no discriminator. As in the paper of 2018, and unlike the code
of FCSR-GAN, a window's sum is scaled to what a window without a hole would hold.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.errors import OfhkitError
from ofhkit.registry import INPAINTERS


class PartialConv(nn.Module):
    """Convolution over the known places of each window, scaled by how few they are (Eq. 1 of Liu et al.).

    Called with features (N, C, H, W) and what is known of them, (N, 1 or C, H, W), 1 = known; gives the new features
    and (N, 1, H, W), a place being known afterwards if its window saw a known one.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, bias: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_channels, 1, 1)) if bias else None

    def forward(self, x: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        stride, padding = self.conv.stride, self.conv.padding
        window = torch.ones((1, x.shape[1], *self.conv.kernel_size), dtype=x.dtype, device=x.device)
        seen = F.conv2d(known.expand_as(x), window, None, stride, padding)
        y = self.conv(x * known) * (window.numel() / seen.clamp(min=1))
        y = y if self.bias is None else y + self.bias
        after = (seen > 0).to(x.dtype)
        return y * after, after


@INPAINTERS.register_module()
class PartialConvInpainter(nn.Module):
    """Fill the hole of a tiny face.

    Args:
        channels: widths of the encoder's levels, each half as large as the one before.

    Shape:
        - lr: (N, 3, H, W) RGB in [0, 1]; H and W multiples of 2 to the number of levels
        - mask: (N, 1, H, W), 1 = occluded
        - output: (N, 3, H, W) in (0, 1)

    Raises:
        OfhkitError: faces of another size.

    >>> PartialConvInpainter((4, 4, 4, 4)).eval()(torch.rand(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)).shape
    torch.Size([1, 3, 16, 16])
    """

    def __init__(self, channels: Sequence[int] = (64, 128, 256, 512)):
        super().__init__()
        widths, kernels = (3, *channels), (7, 5, 5, *[3] * len(channels))
        levels = range(len(channels))
        self.encoder = nn.ModuleList(PartialConv(widths[i], widths[i + 1], kernels[i], 2) for i in levels)
        self.encoder_norms = nn.ModuleList(
            nn.BatchNorm2d(width) if i else nn.Identity() for i, width in enumerate(channels)
        )
        outer = [(widths[i + 1] + widths[i], widths[i]) for i in levels]
        self.decoder = nn.ModuleList(PartialConv(*outer[i], bias=i == 0) for i in reversed(levels))
        self.decoder_norms = nn.ModuleList(nn.BatchNorm2d(widths[i]) for i in reversed(levels) if i)

    def forward(self, lr: Tensor, mask: Tensor) -> Tensor:
        if any(side % 2 ** len(self.encoder) for side in lr.shape[-2:]):
            factor = 2 ** len(self.encoder)
            raise OfhkitError(
                f"PartialConvInpainter takes sides that are multiples of {factor}, got {tuple(lr.shape[-2:])}"
            )
        x, known = lr, 1 - mask
        skips = [(x, known)]
        for conv, norm in zip(self.encoder, self.encoder_norms):
            x, known = conv(x, known)
            x = F.relu(norm(x))  # 8x8, 4x4, 2x2, 1x1
            skips.append((x, known))
        skips.pop()
        for i, conv in enumerate(self.decoder):
            beside, known_beside = skips.pop()
            x, known = (F.interpolate(t, scale_factor=2.0) for t in (x, known))
            known = torch.cat((known.expand_as(x), known_beside.expand_as(beside)), 1)
            x, known = conv(torch.cat((x, beside), 1), known)
            if i < len(self.decoder_norms):
                x = F.leaky_relu(self.decoder_norms[i](x), 0.2)
        return torch.sigmoid(x)
