"""Triton: the head's last two convolutions and its sigmoid in one kernel.

A program computes a tile of the hidden map, one pixel larger than its tile of the output on every side, keeps it on the
chip, multiplies it by the last convolution's nine taps and moves each product to the pixel it belongs to. The hidden
map (32 channels at full size) is neither written nor read.

Importing this module needs Triton.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ofhkit.ops.autotune import device_of
from ofhkit.ops.triton_conv import _dot, precision

_TILE_H, _TILE_W = 8, 32  # of the hidden map; the output's tile is two smaller each way


@triton.jit
def _head_kernel(x, w1, b1, w2, b2, y, H, W, C, HIDDEN, O, PRECISION: tl.constexpr, TH: tl.constexpr, TW: tl.constexpr,
                 BK: tl.constexpr, BH: tl.constexpr, BO: tl.constexpr):  # fmt: skip
    n = tl.program_id(2).to(tl.int64)
    i = tl.arange(0, TH * TW)
    h = tl.program_id(1) * (TH - 2) - 1 + i // TW
    w = tl.program_id(0) * (TW - 2) - 1 + i % TW
    real = (h >= 0) & (h < H) & (w >= 0) & (w < W)
    hc = tl.arange(0, BH)
    oc = tl.arange(0, BO)
    hidden = tl.zeros([TH * TW, BH], tl.float32)
    for step in range(9 * tl.cdiv(C, BK)):
        tap = step % 9
        dh = tap // 3 - 1
        dw = tap % 3 - 1
        kc = (step // 9) * BK + tl.arange(0, BK)
        there = real & (h + dh >= 0) & (h + dh < H) & (w + dw >= 0) & (w + dw < W)
        at = ((n * H + h + dh) * W + w + dw) * C
        t = tl.load(x + at[:, None] + kc[None, :], mask=there[:, None] & (kc < C)[None, :], other=0.0)
        at_w = ((tap * C + kc) * HIDDEN)[:, None] + hc[None, :]
        weight = tl.load(w1 + at_w, mask=(kc < C)[:, None] & (hc < HIDDEN)[None, :], other=0.0)
        hidden = _dot(t, weight, hidden, PRECISION)
    hidden += tl.load(b1 + hc, mask=hc < HIDDEN, other=0.0).to(tl.float32)[None, :]
    hidden = tl.where((hidden > 0) | (hidden != hidden), hidden, 0.0)
    hidden = tl.where(real[:, None], hidden, 0.0).to(w2.dtype.element_ty)  # the second convolution's zero padding
    out = tl.zeros([TH * TW, BO], tl.float32)
    for tap in range(9):
        at_w = ((tap * HIDDEN + hc) * O)[:, None] + oc[None, :]
        weight = tl.load(w2 + at_w, mask=(hc < HIDDEN)[:, None] & (oc < O)[None, :], other=0.0)
        product = _dot(hidden, weight, tl.zeros([TH * TW, BO], tl.float32), PRECISION)
        source = i + (tap // 3 - 1) * TW + tap % 3 - 1
        source = tl.minimum(tl.maximum(source, 0), TH * TW - 1)  # only the tile's rim is wrong, and not stored
        out += tl.gather(product, tl.broadcast_to(source[:, None], (TH * TW, BO)), 0)
    out = tl.sigmoid(out + tl.load(b2 + oc, mask=oc < O, other=0.0).to(tl.float32)[None, :])
    inner = (i // TW > 0) & (i // TW < TH - 1) & (i % TW > 0) & (i % TW < TW - 1) & real
    target = ((n * O + oc[None, :]) * H + h[:, None]) * W + w[:, None]
    tl.store(y + target, out.to(y.dtype.element_ty), mask=inner[:, None] & (oc < O)[None, :])


@torch.library.custom_op("ofhkit::head", mutates_args=())
def head(x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor) -> Tensor:
    """Return ``sigmoid(conv3x3(relu(conv3x3(x, weight1, bias1)), weight2, bias2))``, zero padding; for inference.

    Shape:
        ``x`` (N, C, H, W), ``weight1`` (M, C, 3, 3), ``weight2`` (O, M, 3, 3) with M <= 128 and O <= 16
        -> (N, O, H, W) in (0, 1), contiguous.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    count, channels, height, width = x.shape
    hidden, out_channels = weight1.shape[0], weight2.shape[0]
    y = torch.empty((count, out_channels, height, width), dtype=x.dtype, device=x.device)
    if not y.numel():
        return y
    first, second = (t.permute(2, 3, 1, 0).contiguous() for t in (weight1, weight2))
    grid = (triton.cdiv(width, _TILE_W - 2), triton.cdiv(height, _TILE_H - 2), count)
    block_k = min(max(triton.next_power_of_2(channels), 16), 64 if x.element_size() == 2 else 32)
    with device_of(x):
        _head_kernel[grid](
            x, first, bias1, second, bias2, y, height, width, channels, hidden, out_channels, precision(x),
            _TILE_H, _TILE_W, block_k, max(triton.next_power_of_2(hidden), 16), 16, num_stages=2, num_warps=8,
        )  # fmt: skip
    return y


@head.register_fake
def _(x, weight1, bias1, weight2, bias2):
    return x.new_empty((x.shape[0], weight2.shape[0], *x.shape[2:]))
