"""What the pretrained face networks of the package share: 8-bit weights and separable convolutions.

They come from @vladmandic/face-api 1.7.15 (MIT, see ``ofhkit/assets/LICENSES.md``), which runs on TensorFlow.js:
weights are 8-bit numbers with one scale and minimum a tensor, and padding is TensorFlow's ``SAME``.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F


def load_quantised(path: str | Path) -> dict[str, Tensor]:
    """Read float32 weights stored as ``NAME`` (uint8), ``NAME.scale`` and ``NAME.min`` (float64): q * scale + min.

    A tensor that is stored as float32 is returned as it is.
    """
    stored = load_file(str(path))
    weights = {name: tensor for name, tensor in stored.items() if not name.endswith((".scale", ".min"))}
    for name, tensor in weights.items():
        if tensor.dtype == torch.uint8:
            weights[name] = (tensor.double() * stored[f"{name}.scale"] + stored[f"{name}.min"]).float()
    return weights


def pad_same(x: Tensor, kernel_size: int, stride: int, value: float = 0.0) -> Tensor:
    """Pad as TensorFlow's ``SAME`` does: ceil(size / stride) outputs, the odd pixel right and below.

    Shape:
        (N, C, H, W) -> (N, C, H', W')

    >>> import torch
    >>> pad_same(torch.zeros(1, 1, 4, 5), 3, 2).shape
    torch.Size([1, 1, 5, 7])
    """
    pads = []
    for size in (x.shape[-1], x.shape[-2]):
        total = max((-(-size // stride) - 1) * stride + kernel_size - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


class SeparableConv(nn.Module):
    """A depthwise 3x3 convolution and a pointwise one, nothing between them.

    Shape:
        (N, in_channels, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride))
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, 3, stride, groups=in_channels, bias=False)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(pad_same(x, 3, self.depthwise.stride[0])))


class PlainConv(nn.Conv2d):
    """A 3x3 convolution at stride 2 with ``SAME`` padding."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(pad_same(x, 3, 2))
