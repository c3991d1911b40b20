"""Nearest x2 and a convolution as one convolution to four phases and a pixel shuffle.

Quantised runtimes have kernels for convolutions but not for transposed ones. The phases share one window, so a 3x3
kernel costs 36 products an input pixel instead of the transposed form's 16; in 8 bits that is still the faster way.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.errors import OfhkitError
from ofhkit.ops import FastConv2d


class ShuffledConv2d(nn.Module):
    """The same function as a transposed :class:`ofhkit.ops.FastConv2d` of stride 2.

    Shape:
        (N, C, H, W) -> (N, O, 2H, 2W)

    Raises:
        OfhkitError: the layer is not transposed with stride 2.

    >>> layer = FastConv2d(torch.rand(2, 3, 4, 4), torch.rand(3), 2, 1, 'relu', transposed=True)
    >>> x = torch.rand(1, 2, 5, 6)
    >>> torch.allclose(ShuffledConv2d(layer)(x), layer(x), atol=1e-6)
    True
    """

    def __init__(self, layer: FastConv2d):
        super().__init__()
        if not layer.transposed or layer.stride != (2, 2):
            raise OfhkitError(f"ShuffledConv2d needs a transposed convolution of stride 2, not {layer}")
        channels, out_channels, size, _ = layer.weight.shape
        joined = [[(shift, _tap(layer.padding, phase, shift)) for shift in range(-size, size + 1)] for phase in (0, 1)]
        where = [[(shift, tap) for shift, tap in phase if 0 <= tap < size] for phase in joined]
        reach = max(abs(shift) for phase in where for shift, _ in phase)
        side = 2 * reach + 1
        weight = layer.weight.new_zeros(out_channels, 2, 2, channels, side, side)
        for row in (0, 1):
            for column in (0, 1):
                for i, u in where[row]:
                    for j, v in where[column]:
                        weight[:, row, column, :, i + reach, j + reach] = layer.weight[:, :, u, v].T
        self.register_buffer("weight", weight.reshape(4 * out_channels, channels, side, side))
        self.register_buffer("bias", layer.bias.repeat_interleave(4))
        self.padding = reach
        self.activation = layer.activation

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, activate, interleave the phases."""
        y = F.conv2d(x, self.weight, self.bias, padding=self.padding)
        return F.pixel_shuffle(getattr(torch, self.activation)(y) if self.activation else y, 2)


def _tap(padding: int, phase: int, shift: int) -> int:
    """Which tap of the transposed kernel joins output 2i + phase to input i + shift, if it has that many."""
    return phase + padding - 2 * shift
