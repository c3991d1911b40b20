"""SPARNet: residual blocks whose branch is weighted, place by place, by an hourglass that says where the face is.

Reference: C. Chen, D. Gong, H. Wang, Z. Li, K.-Y. K. Wong, "Learning spatial attention for face super-resolution",
IEEE TIP 2021 (arXiv 2012.01211), Section III; the light form with one weight a channel and place ("3D attention") is
that of the authors' README, 5.24 M parameters.

Differs from the paper: the bicubic enlargement it starts from is torch's (a = -0.75); takes and returns [0, 1] and
works on [-1, 1] inside; torch's initial weights. Sides of the completed face are multiples of 16, so that every x2 is
exact.
"""

import torch
from torch import Tensor, nn

from ofhkit.errors import OfhkitError
from ofhkit.functional.resample import upsample_bicubic
from ofhkit.registry import UPSAMPLERS

_SLOPE = 0.2
_SMALLEST = 4  # side of an hourglass's waist


def _conv(
    in_channels: int, out_channels: int, scale: str = "", norm: bool = True, activation: bool = True
) -> nn.Module:
    """3x3 convolution with reflected borders, after nearest x2 (``up``) or with stride 2 (``down``)."""
    stride = 2 if scale == "down" else 1
    layers: list[nn.Module] = [nn.Upsample(scale_factor=2)] if scale == "up" else []
    layers += [nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=not norm, padding_mode="reflect")]
    layers += [nn.BatchNorm2d(out_channels)] if norm else []
    return nn.Sequential(*layers, *([nn.LeakyReLU(_SLOPE)] if activation else []))


class Hourglass(nn.Module):
    """Down ``depth`` times and up again, with a convolution beside each level: (N, C, H, W) -> (N, channels, H, W)."""

    def __init__(self, in_channels: int, depth: int, channels: int):
        super().__init__()
        self.beside = _conv(in_channels, channels)
        self.down = _conv(in_channels, channels, "down")
        self.inner = Hourglass(channels, depth - 1, channels) if depth > 1 else _conv(channels, channels)
        self.up = _conv(channels, channels, "up")

    def forward(self, x: Tensor) -> Tensor:
        return self.beside(x) + self.up(self.inner(self.down(x)))


class FaceAttentionUnit(nn.Module):
    """``skip(x) + attention * branch(x)`` (Fig. 2), at another scale where ``scale`` is ``up`` or ``down``.

    Args:
        depth: of the hourglass.
        maps: attention maps: one for all channels, or one each.
    """

    def __init__(
        self, in_channels: int, out_channels: int, depth: int, scale: str = "", maps: int = 1, width: int = 64
    ):
        super().__init__()
        same = not scale and in_channels == out_channels
        self.skip = nn.Identity() if same else _conv(in_channels, out_channels, scale, norm=False, activation=False)
        self.branch = nn.Sequential(
            nn.BatchNorm2d(in_channels),
            nn.LeakyReLU(_SLOPE),
            _conv(in_channels, out_channels, scale if scale == "up" else ""),
            _conv(out_channels, out_channels, scale if scale == "down" else "", activation=False),
        )
        self.hourglass = Hourglass(out_channels, depth, width)
        self.attention = _conv(width, maps, norm=False, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.branch(x)
        return self.skip(x) + y * torch.sigmoid(self.attention(self.hourglass(y)))


@UPSAMPLERS.register_module()
class SPARNet(nn.Module):
    """Hallucinate a face eight times larger; the defaults are SPARNet-Light.

    Args:
        num_blocks: units at the smallest map, 16x16: 1 in the light form, 10 in the paper's.
        channels: widths of the encoder's maps at 128x128, 64x64 and 32x32 (the decoder's, backwards); the smallest map
            has the last one.
        width: of the hourglasses.
        maps_of_channels: an attention map for each channel (the README's 3D) instead of one for all (the paper's).

    Shape:
        - input: (N, 3, H, W) RGB in [0, 1], H and W multiples of 16
        - output: (N, 3, 8*H, 8*W), not clamped

    Raises:
        OfhkitError: faces of another size.

    >>> SPARNet(channels=(4, 4, 4), width=4)(torch.rand(1, 3, 16, 16)).shape
    torch.Size([1, 3, 128, 128])
    """

    scale = 8

    def __init__(
        self,
        num_blocks: int = 1,
        channels: tuple[int, int, int] = (32, 64, 128),
        width: int = 64,
        maps_of_channels: bool = True,
    ):
        super().__init__()
        c1, c2, c3 = channels

        def unit(before: int, after: int, side: int, scale: str = "") -> nn.Module:
            depth = (side // _SMALLEST).bit_length() - 1
            return FaceAttentionUnit(before, after, depth, scale, after if maps_of_channels else 1, width)

        self.first = _conv(3, c1, norm=False, activation=False)  # 128x128
        self.encoder = nn.Sequential(unit(c1, c2, 64, "down"), unit(c2, c3, 32, "down"), unit(c3, c3, 16, "down"))
        self.body = nn.Sequential(*(unit(c3, c3, 16) for _ in range(num_blocks)))
        self.decoder = nn.Sequential(unit(c3, c3, 32, "up"), unit(c3, c2, 64, "up"), unit(c2, c1, 128, "up"))
        self.last = _conv(c1, 3, norm=False, activation=False)

    def forward(self, completed: Tensor) -> Tensor:
        if any(side % 16 for side in completed.shape[-2:]):
            raise OfhkitError(f"SPARNet takes faces whose sides are multiples of 16, got {tuple(completed.shape[-2:])}")
        x = self.first(2 * upsample_bicubic(completed, self.scale) - 1)
        return (self.last(self.decoder(self.body(self.encoder(x)))) + 1) / 2
