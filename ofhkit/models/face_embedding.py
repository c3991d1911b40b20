"""The face recognition network of dlib in the form of face-api: 29 convolutions, 128 numbers a face.

Reference: D. King, dlib's ``dlib_face_recognition_resnet_model_v1`` (CC0), after K. He et al., "Deep residual learning
for image recognition", CVPR 2016, with half the filters; ported from @vladmandic/face-api 1.7.15 (MIT), which stores
the 5.6 M weights in 8 bits. Trained on about three million pictures of 7,485 people.

It is for measuring only: no loss uses it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.functional.alignment import DEFAULT_TEMPLATE
from ofhkit.models.quantised import load_quantised
from ofhkit.runtime.files import asset

__all__ = ["FaceEmbedding", "recognition_box"]

NET_SIZE = 150
MEAN = (122.782, 117.001, 104.298)


class Scale(nn.Module):
    """Multiply and shift each channel: a batch normalisation whose statistics are folded in."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class ConvScale(nn.Sequential):
    """A convolution and its scale; at stride 2 without padding."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1):
        super().__init__()
        padding = kernel_size // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding)
        self.scale = Scale(out_channels)


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut; ``down`` halves the map, the shortcut by averages and zero channels.

    Shape:
        (N, in_channels, H, W) -> (N, out_channels, H, W), with ``down`` about half as high and wide
    """

    def __init__(self, in_channels: int, out_channels: int, down: bool = False):
        super().__init__()
        self.conv1 = ConvScale(in_channels, out_channels, stride=2 if down else 1)
        self.conv2 = ConvScale(out_channels, out_channels)
        self.down = down

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.conv1(x)))
        if self.down:
            x = F.avg_pool2d(x, 2)
            x = F.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
            y = F.pad(y, (0, x.shape[3] - y.shape[3], 0, x.shape[2] - y.shape[2]))  # odd maps lose one more
        return F.relu(x + y)


class FaceRecognition(nn.Module):
    """The network itself, on the square face chip it was trained for.

    Shape:
        (N, 3, 150, 150) RGB 0..255 -> (N, 128)
    """

    def __init__(self):
        super().__init__()
        self.conv32_down = ConvScale(3, 32, 7, 2)
        widths = {"32_1": 32, "32_2": 32, "32_3": 32, "64_down": 64, "64_1": 64, "64_2": 64, "64_3": 64}
        widths |= {"128_down": 128, "128_1": 128, "128_2": 128, "256_down": 256, "256_1": 256, "256_2": 256}
        self.blocks = [f"conv{name}" for name in [*widths, "256_down_out"]]
        channels = 32
        for block, width in zip(self.blocks, [*widths.values(), 256]):
            self.add_module(block, ResidualBlock(channels, width, "down" in block))
            channels = width
        self.fc = nn.Linear(256, 128, bias=False)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.load_state_dict(load_quantised(asset("face_recognition.safetensors")))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv32_down((x - self.mean) / 255))  # 72x72
        x = F.max_pool2d(x, 3, 2)  # 35x35
        for block in self.blocks:
            x = self.get_submodule(block)(x)  # 35x35, 17x17, 8x8, 4x4, 2x2
        return self.fc(x.mean((2, 3)))


class FaceEmbedding(nn.Module):
    """128 numbers of an aligned crop, near each other for pictures of one person; pretrained, frozen.

    No face is searched for: the template says where it is, so a hallucinated face and the true one are read alike.
    What of the network's square lies outside the crop repeats the crop's border.

    Args:
        template: the five points to which the crops are aligned.

    Shape:
        - input: (N, 3, 128, 128) RGB in [0, 1]
        - output: (N, 128)

    >>> FaceEmbedding()(torch.rand(2, 3, 128, 128)).shape
    torch.Size([2, 128])
    """

    def __init__(self, template: Sequence[Sequence[float]] = DEFAULT_TEMPLATE):
        super().__init__()
        self.net = FaceRecognition()
        self.box = recognition_box(template)
        self.requires_grad_(False)
        self.eval()

    def forward(self, hr: Tensor) -> Tensor:
        left, top, side = self.box
        height, width = hr.shape[-2:]
        outside = [max(0, pad) for pad in (-left, left + side - width, -top, top + side - height)]
        square = F.pad(hr, outside, mode="replicate")
        top, left = max(0, top), max(0, left)
        square = square[..., top : top + side, left : left + side]
        return self.net(255 * F.interpolate(square, (NET_SIZE, NET_SIZE), mode="bilinear", align_corners=False))


def recognition_box(template: Sequence[Sequence[float]]) -> tuple[int, int, int]:
    """Left, top and side in pixels of the square that dlib would cut from crops aligned to ``template``.

    In dlib's chips of 150 pixels the eyes' centres lie 52.4 pixels apart and 46.6 below the upper edge.

    >>> recognition_box(DEFAULT_TEMPLATE)
    (-6, -7, 140)
    """
    (x0, y0), (x1, y1) = template[0], template[1]
    side = 2 * round(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 * 150 / 52.4 / 2)
    return round((x0 + x1 + 1 - side) / 2), round((y0 + y1 + 1) / 2 - side * 46.6 / 150), side
