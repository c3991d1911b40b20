"""URDGN's generator: five convolutions, nearest x2 after each of the first three.

Reference: X. Yu, F. Porikli, "Ultra-resolving face images by discriminative generative networks", ECCV 2016,
Section 3, and the layer sizes of the authors' published code.

Differs from the paper: works on [-1, 1] inside and takes and returns [0, 1]; convolutions before a batch
normalisation carry no bias (it would cancel); the x2 is made by the convolution that reads it. How it is initialised is
not printed: here it begins as an enlargement of its input, near the bicubic one, so that a short training adds to that.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.ops import UpsampleConv2d, fold, signed_range
from ofhkit.registry import UPSAMPLERS

_LINEAR = (0.25, 0.5, 0.25)  # after nearest x2: the linear enlargement
_CUBIC = (-0.07, 0.27, 0.6, 0.27, -0.07)  # likewise the cubic one, as near as five taps come
_SPREAD = 0.5  # of a face's colors in [-1, 1], about; batch normalisation has divided by it


@UPSAMPLERS.register_module()
class URDGN(nn.Module):
    """Hallucinate a face eight times larger.

    Args:
        channels: widths of the four hidden convolutions (kernels 3, 3, 5, 5; the last, to RGB, is 5).
        enlargement: begin as an enlargement, whose bright and dark half six channels of each layer carry (where there
            are so many); False: all weights random, as in Torch7.

    Shape:
        - input: (N, 3, H, W) RGB in [0, 1]
        - output: (N, 3, 8*H, 8*W), not clamped

    >>> import torch
    >>> URDGN(channels=(4, 4, 4, 4))(torch.rand(1, 3, 16, 16)).shape
    torch.Size([1, 3, 128, 128])
    """

    scale = 8

    def __init__(self, channels: tuple[int, int, int, int] = (16, 64, 128, 256), enlargement: bool = True):
        super().__init__()
        c1, c2, c3, c4 = channels
        self.conv1 = nn.Conv2d(3, c1, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c1)
        self.conv2 = UpsampleConv2d(c1, c2, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(c2)
        self.conv3 = UpsampleConv2d(c2, c3, 5, bias=False)
        self.bn3 = nn.BatchNorm2d(c3)
        self.conv4 = UpsampleConv2d(c3, c4, 5, bias=False)
        self.bn4 = nn.BatchNorm2d(c4)
        self.conv5 = nn.Conv2d(c4, 3, 5, padding=2)
        for norm in (self.bn1, self.bn2, self.bn3, self.bn4):
            nn.init.uniform_(norm.weight)  # Torch7's default, as its convolutions' is ours
        if enlargement and min(channels) >= 6:
            self._begin_as_enlargement()

    @torch.no_grad()
    def _begin_as_enlargement(self) -> None:
        """Color c goes through channel c as relu(x) and through channel c + 3 as relu(-x): their difference is x."""
        signs = torch.eye(3).repeat(2, 1) * torch.tensor([1.0] * 3 + [-1.0] * 3)[:, None]  # (6, 3)
        taps = ((0, 1, 0), _LINEAR, _CUBIC, _CUBIC)
        for i, row in enumerate(taps, 1):
            conv, norm = getattr(self, f"conv{i}"), getattr(self, f"bn{i}")
            mixing = signs if i == 1 else signs @ signs.mT
            conv.weight[:6] = 0
            conv.weight[:6, : mixing.shape[1]] = mixing[:, :, None, None] * torch.outer(*2 * [torch.tensor(row)])
            norm.weight[:6] = 1
        nn.init.zeros_(self.conv5.weight)
        nn.init.zeros_(self.conv5.bias)
        self.conv5.weight[:, :6, 2, 2] = _SPREAD * signs.mT

    def forward(self, lr: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(2 * lr - 1)), inplace=True)  # 16x16
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)  # 32x32
        x = F.relu(self.bn3(self.conv3(x)), inplace=True)  # 64x64
        x = F.relu(self.bn4(self.conv4(x)), inplace=True)  # 128x128
        return (self.conv5(x) + 1) / 2

    def fused(self) -> nn.Module:
        """Return the same function for inference; see :func:`ofhkit.ops.fuse`."""
        signed, unsigned = signed_range()
        layers = [fold(getattr(self, f"conv{i}"), getattr(self, f"bn{i}"), "relu") for i in range(1, 5)]
        return nn.Sequential(signed, *layers, fold(self.conv5, unsigned))
