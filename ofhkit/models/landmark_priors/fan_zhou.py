"""OFHNet's landmark network (A): the first level of Fan and Zhou's cascade, 68 points.

Reference: H. Fan, E. Zhou, "Approaching human level facial landmark localization by deep learning", Image and
Vision Computing 47, 2016, Section 3 (level 1); used by arXiv 1811.04645, Section 3.4, as its reference [25].

Differs from the paper, which leaves these open: ReLU as the non-linearity and convolutions without padding
(1.84 M parameters; ``padding=1`` gives 17.56 M).
"""

import torch
from torch import Tensor, nn

from ofhkit.ops import Conv3x3
from ofhkit.registry import PRIORS


@PRIORS.register_module()
class FanZhou(nn.Module):
    """Regress 68 facial landmarks from a 128x128 face.

    Args:
        num_points: how many landmarks.
        padding: 0 or 1, of every convolution.
        channels: widths of the convolutions before each of the four poolings, and of the last.

    Shape:
        - input: (N, 3, 128, 128) RGB in [0, 1]
        - output: (N, num_points, 2) as (x, y) in pixels, origin = centre of the top-left pixel

    >>> FanZhou()(torch.rand(1, 3, 128, 128)).shape
    torch.Size([1, 68, 2])
    """

    def __init__(
        self, num_points: int = 68, padding: int = 0, channels: tuple[int, int, int, int, int] = (32, 64, 64, 128, 256)
    ):
        super().__init__()
        layers: list[nn.Module] = []
        in_channels, side = 3, 128
        *widths, last = channels
        for width, convs in zip(widths, (1, 2, 2, 2), strict=True):
            for _ in range(convs):
                layers += [Conv3x3(in_channels, width, padding), nn.ReLU(inplace=True)]
                in_channels, side = width, side - 2 + 2 * padding
            layers.append(nn.MaxPool2d(2))  # 63, 29, 12, 4 without padding
            side //= 2
        layers += [Conv3x3(in_channels, last, padding), nn.ReLU(inplace=True)]
        side += 2 * padding - 2  # 2
        self.features = nn.Sequential(*layers)
        self.fc1 = nn.Linear(last * side * side, 1024)
        self.fc2 = nn.Linear(1024, 2 * num_points)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.fc2.weight)
        nn.init.constant_(self.fc2.bias, 0.5)  # start from the centre of the face

    def forward(self, hr: Tensor) -> Tensor:
        x = self.features(hr).flatten(1)
        points = self.fc2(torch.relu(self.fc1(x))) * (hr.shape[-1] - 1)
        return points.view(len(hr), -1, 2)
