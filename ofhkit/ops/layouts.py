"""The same convolution with its weights laid out another way.

"Nearest x2, then a convolution" is a transposed convolution of the small map (:func:`phase_kernel`). Few output
channels (a picture's three) leave most of a CPU's vector lanes empty: several neighbouring pixels of a row become the
channels of one output position; where channels lie last, the result in memory is the row itself. With few output
positions a convolution is one matrix product.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def upsample_nearest(x: Tensor) -> Tensor:
    """Repeat every pixel 2 x 2 times: (N, C, H, W) -> (N, C, 2H, 2W), any range.

    >>> upsample_nearest(torch.tensor([[[[1., 2.]]]])).tolist()
    [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
    """
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def phase_kernel(weight: Tensor) -> Tensor:
    """Return the transposed convolution's kernel that equals "nearest x2, then ``weight``"; use stride 2, padding k//2.

    The sum over 2 x 2 windows is a product with a constant 0/1 matrix: differentiable, and cheap in either layout.

    Shape:
        (O, C, k, k) -> (C, O, k+1, k+1).

    >>> phase_kernel(torch.ones(1, 1, 3, 3))[0, 0].int().tolist()
    [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]
    """
    out_channels, in_channels, size, _ = weight.shape
    taps = torch.eye(size * size, device=weight.device, dtype=weight.dtype).view(size * size, 1, size, size)
    windows = 4 * F.avg_pool2d(taps.flip(-1, -2), 2, stride=1, padding=1)  # ONNX drops a divisor_override
    with torch.autocast(weight.device.type, enabled=False):  # sums of weights are formed at full precision
        kernel = weight.reshape(-1, size * size) @ windows.reshape(size * size, -1)
    return kernel.view(out_channels, in_channels, size + 1, size + 1).transpose(0, 1)


def unphased_kernel(kernel: Tensor) -> Tensor:
    """Return the kernel that :func:`phase_kernel` made ``kernel`` of, up to the rounding of its sums.

    Shape:
        (C, O, k+1, k+1) -> (O, C, k, k).

    >>> weight = torch.rand(2, 3, 5, 5, dtype=torch.float64)
    >>> torch.allclose(unphased_kernel(phase_kernel(weight)), weight)
    True
    """
    taps = kernel.double()
    for axis in (2, 3):  # each tap is the sum of two neighbours, the first is one alone
        first, *sums = taps.unbind(axis)[:-1]
        found = [first]
        for pair in sums:
            found.append(pair - found[-1])
        taps = torch.stack(found, axis)
    return taps.flip(-1, -2).transpose(0, 1).to(kernel.dtype).contiguous()


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


NARROW = 4  # at most so many output channels
NEIGHBOURS = 4  # pixels of a row that are computed as one position: 12 channels, out of 16 lanes


def packs(width: int, kernel_size: int, padding: int) -> bool:
    """Whether a row of the output divides into groups of :data:`NEIGHBOURS`.

    >>> packs(128, 3, 1), packs(126, 3, 1)
    (True, False)
    """
    return (width + 2 * padding - kernel_size + 1) % NEIGHBOURS == 0


def pack_weight(weight: Tensor) -> Tensor:
    """Lay the kernel side by side at neighbouring pixels: (O, C, k, l) -> (NEIGHBOURS*O, C, k, l + NEIGHBOURS - 1)."""
    rows = [F.pad(weight, (i, NEIGHBOURS - 1 - i)) for i in range(NEIGHBOURS)]
    return torch.cat(rows).contiguous(memory_format=torch.channels_last)


def unpack(y: Tensor) -> Tensor:
    """Give neighbouring pixels back their place: (N, NEIGHBOURS*O, H, W / NEIGHBOURS) -> (N, O, H, W)."""
    count, channels, height, width = y.shape
    rows = y.permute(0, 2, 3, 1).reshape(count, height, width * NEIGHBOURS, channels // NEIGHBOURS)
    return rows.permute(0, 3, 1, 2)


def narrow_conv2d(x: Tensor, weight: Tensor, bias: Tensor, padding: int = 0) -> Tensor:
    """``F.conv2d`` with stride 1 for very few output channels on a CPU; the same sums in the same order.

    Shape:
        ``x`` (N, C, H, W), ``weight`` (O, C, k, k) -> (N, O, H', W')

    >>> x, weight, bias = torch.rand(2, 8, 8, 8), torch.rand(3, 8, 3, 3), torch.rand(3)
    >>> torch.allclose(narrow_conv2d(x, weight, bias, 1), F.conv2d(x, weight, bias, padding=1), atol=1e-5)
    True
    """
    if not packs(x.shape[-1], weight.shape[-1], padding):
        return F.conv2d(x, weight, bias, padding=padding)
    x = x.contiguous(memory_format=torch.channels_last)
    return unpack(F.conv2d(x, pack_weight(weight), bias.repeat(NEIGHBOURS), (1, NEIGHBOURS), padding))


def narrow_weight_gradient(x: Tensor, grad: Tensor, weight: Tensor, padding: int) -> Tensor:
    """Return the gradient of ``weight`` in ``F.conv2d(x, weight, padding=padding)``, for very few output channels.

    The roles of ``x`` and ``grad`` are exchanged, so that the many channels of ``x`` fill the lanes: the gradient comes
    out mirrored and transposed. Only for "same" padding.

    >>> x, weight = torch.rand(2, 8, 6, 6), torch.rand(3, 8, 3, 3, requires_grad=True)
    >>> y = F.conv2d(x, weight, padding=1)
    >>> (wanted,) = torch.autograd.grad(y.sum(), weight)
    >>> torch.allclose(narrow_weight_gradient(x, torch.ones_like(y), weight, 1), wanted, atol=1e-4)
    True
    """
    exchanged = weight.transpose(0, 1).contiguous(memory_format=torch.channels_last)
    _, gradient, _ = torch.ops.aten.convolution_backward(
        x, grad, exchanged, None, [1, 1], [padding] * 2, [1, 1], False, [0, 0], 1, [False, True, False]
    )
    return gradient.flip(-1, -2).transpose(0, 1)
