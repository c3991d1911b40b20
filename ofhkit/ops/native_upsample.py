"""Nearest x2 and a 3x3 convolution on a CPU with 25 products for 2x2 input pixels, by the compiled kernel.

The phases need 64 and the convolution of the enlarged map 144. ``kernels.c`` says how; only sums of weights and
differences of pixels are formed, so that rounding stays that of the plain operators.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ofhkit.ops.native import library
from ofhkit.ops.upsample_conv import phase_kernel, upsample_nearest

MAX_CHANNELS = 4096
TILES = 80  # at a time, so that their differences stay in the second cache


def pack_for(x: Tensor, kernel: Tensor) -> Tensor | None:
    """Return the packed weights of a phase kernel (C, O, 4, 4), or ``None`` where the C kernel cannot run on ``x``."""
    if x.device.type != "cpu" or {x.dtype, kernel.dtype} != {torch.float32} or not x.numel():
        return None
    if kernel.shape[2:] != (4, 4) or torch.compiler.is_compiling() or library() is None or not verified():
        return None
    block = library().ofhkit_block()
    suits = all(width % block == 0 for width in kernel.shape[:2]) and len(kernel) <= MAX_CHANNELS
    return pack(kernel) if suits else None


def supports(kernel: Tensor, stride: tuple[int, int], padding: int, activation: str | None) -> bool:
    """Whether a transposed convolution comes from :func:`ofhkit.ops.phase_kernel` and its widths suit the C kernel."""
    block = library().ofhkit_block()
    channels, out_channels, *size = kernel.shape
    if size != [4, 4] or (*stride, padding) != (2, 2, 1) or activation not in (None, "relu"):
        return False
    if channels % block or out_channels % block or channels > MAX_CHANNELS or not kernel.isfinite().all():
        return False
    pairs = (
        kernel[:, :, 0] + kernel[:, :, 2] - kernel[:, :, 1] - kernel[:, :, 3],
        kernel[..., 0] + kernel[..., 2] - kernel[..., 1] - kernel[..., 3],
    )  # all are w0 + w1 + w2
    return all(bool(difference.abs().max() <= 1e-5 * kernel.abs().max()) for difference in pairs)


def pack(kernel: Tensor) -> Tensor:
    """Return the 25 products' weights of a phase kernel.

    Shape:
        (C, O, 4, 4) -> (O / block, 25, C, block)
    """
    block = library().ofhkit_block()
    rows = [_five(row) for row in _five(kernel.unbind(2))]  # five rows of five columns (C, O)
    order = [(0, 0), *((p, 0) for p in range(1, 5)), *((0, q) for q in range(1, 5))]
    order += [(p, q) for p in range(1, 5) for q in range(1, 5)]
    stacked = torch.stack([rows[p][q] for p, q in order])  # (25, C, O)
    return stacked.unflatten(2, (-1, block)).permute(2, 0, 1, 3).float().contiguous()


def _five(taps: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """From (w2, w1+w2, w0+w1, w0), along the last axis of a tensor, the five weights: S, w0+w1, w0, w2, w1+w2."""
    w2, right, left, w0 = taps.unbind(-1) if isinstance(taps, Tensor) else taps
    return [w2 + left, left, w0, w2, right]


def upsample_conv2d(x: Tensor, packed: Tensor, bias: Tensor | None, relu: bool) -> Tensor:
    """Run the kernel on all of torch's threads.

    Shape:
        ``x`` (N, C, H, W), ``packed`` as :func:`pack` -> (N, O, 2H, 2W), channels_last.
    """
    kernels = library()
    x = x.permute(0, 2, 3, 1).contiguous()
    count, height, width, channels = x.shape
    blocks, _, _, block = packed.shape
    bias = x.new_zeros(blocks * block) if bias is None else bias.contiguous()
    y = torch.empty(count, 2 * height, 2 * width, blocks * block)
    if y.numel():
        threads = torch.get_num_threads()
        rows, groups = _divide(count, height, width, blocks, threads)
        room = kernels.ofhkit_upsample_room(width, channels, rows)
        scratch = torch.empty(room * threads)
        addresses = [t.data_ptr() for t in (x, packed, bias, y, scratch)]
        sizes = count, height, width, channels, blocks * block, rows, groups
        kernels.ofhkit_upsample_conv(*addresses, *sizes, relu, threads)
    return y.permute(0, 3, 1, 2)


def _divide(count: int, height: int, width: int, blocks: int, threads: int) -> tuple[int, int]:
    """Return the rows of tiles that are computed together and the groups of output channels, as the threads need.

    >>> _divide(4, 16, 16, 2, 2), _divide(1, 16, 16, 2, 2), _divide(1, 16, 16, 2, 8)
    ((9, 1), (9, 2), (3, 2))
    """
    tiles = height // 2 + 1
    strips = -(-tiles // max(1, round(TILES / (width // 2 + 1))))
    while count * strips * blocks < threads and strips < tiles:
        strips += 1
    rows = -(-tiles // strips)
    shares = count * -(-tiles // rows)
    return rows, 1 if shares % threads == 0 or shares >= 4 * threads else blocks


@functools.cache
def verified() -> bool:
    """Whether the compiled kernel can be had here and agrees with the plain operators."""
    if (kernels := library()) is None:
        return False
    block = kernels.ofhkit_block()
    generator = torch.Generator().manual_seed(0)
    for height, width in ((1, 2), (5, 4)):
        x = torch.randn(2, block, height, width, generator=generator)
        weight = torch.randn(block, block, 3, 3, generator=generator)
        bias = torch.randn(block, generator=generator)
        expected = F.conv2d(upsample_nearest(x.double()), weight.double(), bias.double(), padding=1)
        y = upsample_conv2d(x, pack(phase_kernel(weight.double())), bias, True)
        if not (y - expected.relu()).abs().max() <= 1e-5 * expected.abs().max():
            return False
    return True
