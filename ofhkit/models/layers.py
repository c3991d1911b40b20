"""The paper's blocks. Convolutions directly before a batch normalisation carry no bias: it would cancel."""

from torch import nn

from ofhkit.ops import MatmulConv2d, fold


class ConvBNReLU(nn.Sequential):
    """Conv - BatchNorm - ReLU, "same" padding for stride 1 and exact halving for stride 2 with even kernels."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1):
        padding = (kernel_size - 1) // 2
        super().__init__(
            MatmulConv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    def fused(self) -> nn.Module:
        """Return the same block as one operation, for inference."""
        return fold(self[0], self[1], "relu")
