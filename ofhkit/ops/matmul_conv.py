"""A convolution that becomes one matrix product where its output has few positions and its weights are many."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEW_POSITIONS = 4  # of the output map; at 16 the convolution is as fast


class MatmulConv2d(nn.Conv2d):
    """``nn.Conv2d``; on a CPU a matrix product where the output map is at most 2x2.

    There oneDNN spends most of its time on reordering the weights, in every call; a matrix product reads them as they
    lie. Same keys, same function, other order of sums. Only without groups and dilation, and with zero padding.

    Shape:
        (N, in_channels, H, W) -> (N, out_channels, H', W'), any range.

    >>> conv = MatmulConv2d(2, 3, 4, stride=2, padding=1)
    >>> x = torch.rand(5, 2, 4, 4)
    >>> torch.allclose(conv(x), nn.Conv2d.forward(conv, x), atol=1e-6)
    True
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        if x.device.type != "cpu" or torch.compiler.is_compiling() or not self._is_small(x):
            return super().forward(x)
        patches = self._patches(x)
        weight = self.weight.permute(0, 2, 3, 1).reshape(len(self.weight), -1)  # a view where channels lie last
        y = F.linear(patches, weight, self.bias)
        return y.permute(0, 3, 1, 2)

    def _is_small(self, x: Tensor) -> bool:
        simple = self.groups == 1 and set(self.dilation) == {1} and self.padding_mode == "zeros"
        if not simple or x.dim() != 4 or not x.numel() or isinstance(self.padding, str):
            return False
        sides = [(x.shape[2 + i] + 2 * self.padding[i] - self.kernel_size[i]) // self.stride[i] + 1 for i in range(2)]
        return min(sides) > 0 and sides[0] * sides[1] <= FEW_POSITIONS

    def _patches(self, x: Tensor) -> Tensor:
        """Return what each output sees: (N, H', W', kernel height * kernel width * in_channels)."""
        top, left = self.padding
        rows = F.pad(x, (left, left, top, top)).permute(0, 2, 3, 1)
        for axis in (0, 1):
            rows = rows.unfold(1 + axis, self.kernel_size[axis], self.stride[axis])
        return rows.permute(0, 1, 2, 4, 5, 3).flatten(3)
