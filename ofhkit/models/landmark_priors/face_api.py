"""The pretrained 68-point network of face-api: four densely summed blocks of separable convolutions.

Reference: @vladmandic/face-api 1.7.15, ``face_landmark_68_model`` (MIT; after J.-H. Mühler's face-api.js). About 35,000
training faces; the database is not named. 356,840 weights, stored in 8 bits.

Differs from the paper: there is none; it stands in for the landmark localiser of arXiv 1811.04645, which is not known.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.functional.alignment import DEFAULT_TEMPLATE
from ofhkit.models.quantised import PlainConv, SeparableConv, load_quantised
from ofhkit.registry import PRIORS
from ofhkit.runtime.files import asset

NET_SIZE = 112
MEAN = (122.782, 117.001, 104.298)


class DenseBlock(nn.Module):
    """Halves the map, then adds three convolutions to a running sum; each reads the rectified sum so far."""

    def __init__(self, in_channels: int, out_channels: int, first: type[nn.Module] | None = None):
        super().__init__()
        self.conv0 = SeparableConv(in_channels, out_channels, 2) if first is None else first(in_channels, out_channels)
        self.conv1 = SeparableConv(out_channels, out_channels)
        self.conv2 = SeparableConv(out_channels, out_channels)
        self.conv3 = SeparableConv(out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        total = F.relu(self.conv0(x))
        y = total
        for conv in (self.conv1, self.conv2, self.conv3):
            total = total + conv(y)
            y = F.relu(total)
        return y


class FaceLandmark68(nn.Module):
    """The network itself, on the square face box it was trained for.

    Shape:
        (N, 3, 112, 112) RGB 0..255 -> (N, 68, 2) as fractions of the square
    """

    def __init__(self):
        super().__init__()
        self.dense0 = DenseBlock(3, 32, PlainConv)  # 56x56
        self.dense1 = DenseBlock(32, 64)  # 28x28
        self.dense2 = DenseBlock(64, 128)  # 14x14
        self.dense3 = DenseBlock(128, 256)  # 7x7
        self.fc = nn.Linear(256, 136)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.load_state_dict(load_quantised(asset("face_landmark_68.safetensors")))

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / 255
        x = self.dense3(self.dense2(self.dense1(self.dense0(x))))
        return self.fc(x.mean((2, 3))).view(-1, 68, 2)


@PRIORS.register_module()
class FaceAPI68(nn.Module):
    """68 landmarks of aligned crops, read with one fixed box; pretrained, frozen, differentiable in its input.

    No face is searched for: the template says where it is, so reconstruction and original are read alike. The box was
    chosen on 256 real training crops by agreement with MediaPipe's points: sides 96 to 152 and tops 4 to 29 were tried,
    and from side 128 on the agreement is flat (6.5 to 6.9 % of the eye distance over 68 points) while the top stays at
    row 16 or above. Side 140 and top 11 lie inside that plateau: 6.4 % on 1,000 test faces, 4.6 % without the jaw (the
    two sets define some points differently). In eye distances the side is 2.86 and the top 0.52 above the eyes; for
    other templates the box scales along.

    What of the box lies outside the crop is black, as in the network's training. The box is resized to 112x112
    bilinearly with half-pixel centres and without antialiasing (140 -> 112 needs none).

    Args:
        template: the five points to which the crops are aligned.

    Shape:
        - input: (N, 3, 128, 128) RGB in [0, 1]
        - output: (N, 68, 2) as (x, y) in pixels, origin = centre of the top-left pixel

    >>> FaceAPI68()(torch.rand(2, 3, 128, 128)).shape
    torch.Size([2, 68, 2])
    """

    def __init__(self, template: Sequence[Sequence[float]] = DEFAULT_TEMPLATE):
        super().__init__()
        self.net = FaceLandmark68()
        self.box = face_box(template)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> FaceAPI68:
        """Stay in eval mode."""
        return super().train(False)

    def forward(self, hr: Tensor) -> Tensor:
        left, top, side = self.box
        height, width = hr.shape[-2:]
        square = F.pad(hr * 255, (-left, left + side - width, -top, top + side - height))  # negative pads crop
        square = F.interpolate(square, (NET_SIZE, NET_SIZE), mode="bilinear", align_corners=False)
        # The network counts pixels from the first one's centre, in squares of its own size.
        centre = 0.5 * (side / NET_SIZE - 1)
        return self.net(square) * side + hr.new_tensor([left + centre, top + centre])


def face_box(template: Sequence[Sequence[float]]) -> tuple[int, int, int]:
    """Left, top and side in pixels of the square that the network reads in crops aligned to ``template``.

    >>> face_box(DEFAULT_TEMPLATE)
    (-6, 11, 140)
    """
    (x0, y0), (x1, y1) = template[0], template[1]
    eye_distance = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
    side = 2 * round(eye_distance * 140 / 49 / 2)
    left, top = (x0 + x1 + 1 - side) / 2, (y0 + y1 + 1) / 2 - eye_distance * 25.5 / 49
    return round(left), round(top), side
