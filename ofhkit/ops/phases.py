"""Nearest x2, and the kernels of the transposed convolution that "nearest x2, then a convolution" is."""

import torch
import torch.nn.functional as F
from torch import Tensor


def upsample_nearest(x: Tensor) -> Tensor:
    """Repeat every pixel 2 x 2 times.

    Shape:
        (N, C, H, W) -> (N, C, 2H, 2W), any range.

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
