"""URDGN's discriminator: four 5x5 convolutions with pooling and spatial dropout, then two dense layers.

Reference: X. Yu, F. Porikli, "Ultra-resolving face images by discriminative generative networks", ECCV 2016,
Section 3, and the layer sizes of the authors' published code.

Differs from the paper: takes [0, 1] and works on [-1, 1] inside; the sigmoid is part of the loss (logits are
returned).
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from ofhkit.registry import DISCRIMINATORS


@DISCRIMINATORS.register_module()
class URDGNDiscriminator(nn.Module):
    """Tell real faces from hallucinated ones.

    Args:
        channels: widths of the convolutions; each is followed by a 2x2 max pooling.
        hidden_channels: width of the hidden dense layer.
        image_size: side of the face.

    Shape:
        - input: (N, 3, image_size, image_size) RGB in [0, 1]
        - output: (N, 1) logits, positive = real

    >>> import torch
    >>> URDGNDiscriminator(channels=(4, 4, 4, 4), hidden_channels=8)(torch.rand(2, 3, 128, 128)).shape
    torch.Size([2, 1])
    """

    def __init__(self, channels: Sequence[int] = (32, 64, 128, 96), hidden_channels: int = 1024, image_size: int = 128):
        super().__init__()
        widths = (3, *channels)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [
                nn.Conv2d(before, after, 5, padding=2),
                nn.MaxPool2d(2),
                nn.ReLU(inplace=True),
                nn.Dropout2d(0.2),
            ]
        self.features = nn.Sequential(*layers)  # 64x64, 32x32, 16x16, 8x8
        self.fc1 = nn.Linear(widths[-1] * (image_size >> len(channels)) ** 2, hidden_channels)
        self.dropout = nn.Dropout(0.5)
        self.fc2 = nn.Linear(hidden_channels, 1)

    def forward(self, hr: Tensor) -> Tensor:
        x = self.features(2 * hr - 1).flatten(1)
        return self.fc2(self.dropout(self.fc1(x).relu()))
