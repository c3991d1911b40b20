"""The parser: a small U-Net that says of every pixel which part of the face it belongs to.

Reference: O. Ronneberger, P. Fischer, T. Brox, "U-Net: convolutional networks for biomedical image segmentation",
MICCAI 2015, for the shape. The parser of arXiv 1811.04645, Table 2, is that of Li et al. 2017, whose weights cannot be
obtained.

Differs from the paper: far narrower (8 to 96 channels, 0.27 G multiplications a face), strided convolutions instead of
pooling, "same" padding, and batch normalisation.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.functional.face_labels import PARSING_LABELS
from ofhkit.models.layers import ConvBNReLU
from ofhkit.registry import PRIORS
from ofhkit.runtime.files import asset


class Down(nn.Sequential):
    """Halve the side, then look once more."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(ConvBNReLU(in_channels, out_channels, stride=2), ConvBNReLU(out_channels, out_channels))


class Up(nn.Module):
    """Double the side and join what the encoder saw there."""

    def __init__(self, in_channels: int, skip_channels: int):
        super().__init__()
        self.conv = ConvBNReLU(in_channels + skip_channels, skip_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)
        return self.conv(torch.cat((x, skip), 1))


@PRIORS.register_module()
class FaceParser(nn.Module):
    """Label the pixels of a face.

    Args:
        num_classes: how many labels, by default those of :data:`ofhkit.functional.face_labels.PARSING_LABELS`; 0 is the
            background.
        channels: widths from the full resolution down; each stage halves the side.
        weights: name of a file that ships with the package, to start from; None starts from random weights.

    Shape:
        - input: (N, 3, H, W) RGB in [0, 1], H and W multiples of 2 to the number of stages
        - output: (N, num_classes, H, W) logits

    Raises:
        OfhkitError: the package has no such weights.

    >>> FaceParser(channels=(4, 8))(torch.rand(1, 3, 128, 128)).shape
    torch.Size([1, 16, 128, 128])
    """

    def __init__(
        self,
        num_classes: int = len(PARSING_LABELS),
        channels: Sequence[int] = (8, 24, 48, 64, 96),
        weights: str | None = None,
    ):
        super().__init__()
        self.stem = ConvBNReLU(3, channels[0])
        self.encoder = nn.ModuleList(Down(before, after) for before, after in pairwise(channels))
        self.decoder = nn.ModuleList(Up(after, before) for before, after in reversed(list(pairwise(channels))))
        self.classify = nn.Conv2d(channels[0], num_classes, 1)
        if weights is not None:
            self.load_state_dict(load_file(asset(weights)))

    def forward(self, hr: Tensor) -> Tensor:
        skips = [self.stem(2 * hr - 1)]  # 128x128
        for down in self.encoder:
            skips.append(down(skips[-1]))  # 64x64, 32x32, 16x16, 8x8
        x = skips.pop()
        for up in self.decoder:
            x = up(x, skips.pop())  # 16x16, 32x32, 64x64, 128x128
        return self.classify(x)
