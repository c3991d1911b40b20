"""Triton: nearest x2 and a convolution as one implicit matrix product that writes the 2 x 2 children directly.

``_phase_kernel`` keeps four accumulators, one a child, and adds to each the taps that its phase sees: 16 products an
input pixel for a 3 x 3 kernel, 36 for 5 x 5. ``_nine_kernel`` (3 x 3 only) shares what the children have in common::

    child(p, q) = S x + R_p (x_p - x) + C_q (x_q - x) + K_pq (x_pq - x_p - x_q + x)

with x_p the neighbour above or below, x_q left or right, x_pq at the corner, and S, R, C, K sums of the kernel over all
taps, over a row, over a column, and its corners: 9 products an input pixel, where the plain convolution takes 36. The
differences are formed in float32; in half precision they are rounded once more before they are multiplied.

Importing this module needs Triton.
"""

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from ofhkit.ops.autotune import device_of, output_like
from ofhkit.ops.layouts import phase_kernel

ACTIVATIONS = {None: 0, "relu": 1, "sigmoid": 2}


@triton.jit
def _activate(y, KIND: tl.constexpr):
    if KIND == 1:
        y = tl.where((y > 0) | (y != y), y, 0.0)
    if KIND == 2:
        y = tl.sigmoid(y)
    return y


@triton.jit
def _dot(a, b, acc, PRECISION: tl.constexpr):
    if PRECISION == "upcast":  # Triton's interpreter cannot multiply bfloat16
        return tl.dot(a.to(tl.float32), b.to(tl.float32), acc, input_precision="ieee")
    return tl.dot(a, b, acc, input_precision=PRECISION)


@triton.jit
def _pixels(BM: tl.constexpr, WIDE: tl.constexpr):
    start = tl.program_id(0)
    if WIDE:  # more than 2^31 elements
        start = start.to(tl.int64)
    return start * BM + tl.arange(0, BM)


@triton.jit
def _store_child(y, value, bias, pixel, oc, p: tl.constexpr, q: tl.constexpr, inside, W, O, ACTIVATION: tl.constexpr):
    value = _activate(value + bias, ACTIVATION)
    at = ((pixel // W) * 4 * W + p * 2 * W + 2 * (pixel % W) + q) * O
    tl.store(y + at[:, None] + oc[None, :], value.to(y.dtype.element_ty), mask=inside)


@triton.jit
def _tile(x, pixel, h, w, dh, dw, kc, inside, H, W, C):
    """Load the input's channels ``kc`` at the pixels moved by (dh, dw); zero outside the map."""
    there = inside & (h + dh >= 0) & (h + dh < H) & (w + dw >= 0) & (w + dw < W)
    at = (pixel + dh * W + dw) * C
    return tl.load(x + at[:, None] + kc[None, :], mask=there[:, None] & (kc < C)[None, :], other=0.0)


@triton.jit
def _weights(w, tap, kc, oc, C, O):
    at = (tap * C + kc)[:, None] * O + oc[None, :]
    return tl.load(w + at, mask=(kc < C)[:, None] & (oc < O)[None, :], other=0.0)


@triton.jit
def _tap(acc, t, w, a: tl.constexpr, b: tl.constexpr, K: tl.constexpr, kc, oc, C, O, PRECISION: tl.constexpr):
    """Add the product with the transposed kernel's tap (a, b), where there is such a tap."""
    if a >= 0 and a <= K and b >= 0 and b <= K:
        acc = _dot(t, _weights(w, a * (K + 1) + b, kc, oc, C, O), acc, PRECISION)
    return acc


@triton.jit
def _phase_kernel(x, w, bias, y, pixels, H, W, C, O, K: tl.constexpr, REACH: tl.constexpr, ACTIVATION: tl.constexpr,
                  PRECISION: tl.constexpr, WIDE: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr,
                  BK: tl.constexpr):  # fmt: skip
    pixel = _pixels(BM, WIDE)
    oc = tl.program_id(1) * BN + tl.arange(0, BN)
    inside = pixel < pixels
    row = (pixel // W) % H
    column = pixel % W
    PAD: tl.constexpr = K // 2
    acc00 = tl.zeros([BM, BN], tl.float32)
    acc01 = tl.zeros([BM, BN], tl.float32)
    acc10 = tl.zeros([BM, BN], tl.float32)
    acc11 = tl.zeros([BM, BN], tl.float32)
    for i in tl.static_range(2 * REACH + 1):
        for j in tl.static_range(2 * REACH + 1):
            for k in range(0, C, BK):
                kc = k + tl.arange(0, BK)
                t = _tile(x, pixel, row, column, i - REACH, j - REACH, kc, inside, H, W, C)
                acc00 = _tap(acc00, t, w, PAD - 2 * (i - REACH), PAD - 2 * (j - REACH), K, kc, oc, C, O, PRECISION)
                acc01 = _tap(acc01, t, w, PAD - 2 * (i - REACH), PAD - 2 * (j - REACH) + 1, K, kc, oc, C, O, PRECISION)
                acc10 = _tap(acc10, t, w, PAD - 2 * (i - REACH) + 1, PAD - 2 * (j - REACH), K, kc, oc, C, O, PRECISION)
                acc11 = _tap(acc11, t, w, PAD - 2 * (i - REACH) + 1, PAD - 2 * (j - REACH) + 1, K, kc, oc, C, O,
                             PRECISION)  # fmt: skip
    shift = tl.load(bias + oc, mask=oc < O, other=0.0).to(tl.float32)[None, :]
    there = inside[:, None] & (oc < O)[None, :]
    _store_child(y, acc00, shift, pixel, oc, 0, 0, there, W, O, ACTIVATION)
    _store_child(y, acc01, shift, pixel, oc, 0, 1, there, W, O, ACTIVATION)
    _store_child(y, acc10, shift, pixel, oc, 1, 0, there, W, O, ACTIVATION)
    _store_child(y, acc11, shift, pixel, oc, 1, 1, there, W, O, ACTIVATION)


@triton.jit
def _nine_kernel(x, w, bias, y, pixels, H, W, C, O, ACTIVATION: tl.constexpr, PRECISION: tl.constexpr,
                 WIDE: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):  # fmt: skip
    """Weights: S, R0, R1, C0, C1, K00, K01, K10, K11. The shared sums come first, then the corners on top of them."""
    pixel = _pixels(BM, WIDE)
    oc = tl.program_id(1) * BN + tl.arange(0, BN)
    inside = pixel < pixels
    row = (pixel // W) % H
    column = pixel % W
    kind = w.dtype.element_ty
    s = tl.zeros([BM, BN], tl.float32)
    r0 = tl.zeros([BM, BN], tl.float32)
    r1 = tl.zeros([BM, BN], tl.float32)
    c0 = tl.zeros([BM, BN], tl.float32)
    c1 = tl.zeros([BM, BN], tl.float32)
    for k in range(0, C, BK):
        kc = k + tl.arange(0, BK)
        t = _tile(x, pixel, row, column, 0, 0, kc, inside, H, W, C)
        s = _dot(t, _weights(w, 0, kc, oc, C, O), s, PRECISION)
        m = t.to(tl.float32)
        e = _tile(x, pixel, row, column, -1, 0, kc, inside, H, W, C).to(tl.float32) - m
        r0 = _dot(e.to(kind), _weights(w, 1, kc, oc, C, O), r0, PRECISION)
        e = _tile(x, pixel, row, column, 1, 0, kc, inside, H, W, C).to(tl.float32) - m
        r1 = _dot(e.to(kind), _weights(w, 2, kc, oc, C, O), r1, PRECISION)
        e = _tile(x, pixel, row, column, 0, -1, kc, inside, H, W, C).to(tl.float32) - m
        c0 = _dot(e.to(kind), _weights(w, 3, kc, oc, C, O), c0, PRECISION)
        e = _tile(x, pixel, row, column, 0, 1, kc, inside, H, W, C).to(tl.float32) - m
        c1 = _dot(e.to(kind), _weights(w, 4, kc, oc, C, O), c1, PRECISION)
    o00 = s + r0 + c0
    o01 = s + r0 + c1
    o10 = s + r1 + c0
    o11 = s + r1 + c1
    for k in range(0, C, BK):
        kc = k + tl.arange(0, BK)
        m = _tile(x, pixel, row, column, 0, 0, kc, inside, H, W, C).to(tl.float32)
        top = _tile(x, pixel, row, column, -1, 0, kc, inside, H, W, C).to(tl.float32) - m
        left = _tile(x, pixel, row, column, 0, -1, kc, inside, H, W, C).to(tl.float32)
        right = _tile(x, pixel, row, column, 0, 1, kc, inside, H, W, C).to(tl.float32)
        e = _tile(x, pixel, row, column, -1, -1, kc, inside, H, W, C).to(tl.float32) - left - top
        o00 = _dot(e.to(kind), _weights(w, 5, kc, oc, C, O), o00, PRECISION)
        e = _tile(x, pixel, row, column, -1, 1, kc, inside, H, W, C).to(tl.float32) - right - top
        o01 = _dot(e.to(kind), _weights(w, 6, kc, oc, C, O), o01, PRECISION)
        low = _tile(x, pixel, row, column, 1, 0, kc, inside, H, W, C).to(tl.float32) - m
        e = _tile(x, pixel, row, column, 1, -1, kc, inside, H, W, C).to(tl.float32) - left - low
        o10 = _dot(e.to(kind), _weights(w, 7, kc, oc, C, O), o10, PRECISION)
        e = _tile(x, pixel, row, column, 1, 1, kc, inside, H, W, C).to(tl.float32) - right - low
        o11 = _dot(e.to(kind), _weights(w, 8, kc, oc, C, O), o11, PRECISION)
    shift = tl.load(bias + oc, mask=oc < O, other=0.0).to(tl.float32)[None, :]
    there = inside[:, None] & (oc < O)[None, :]
    _store_child(y, o00, shift, pixel, oc, 0, 0, there, W, O, ACTIVATION)
    _store_child(y, o01, shift, pixel, oc, 0, 1, there, W, O, ACTIVATION)
    _store_child(y, o10, shift, pixel, oc, 1, 0, there, W, O, ACTIVATION)
    _store_child(y, o11, shift, pixel, oc, 1, 1, there, W, O, ACTIVATION)


def pack(weight: Tensor, nine: bool = False) -> Tensor:
    """Return the kernels' weights: (taps, C, O) from (O, C, k, k); sums are formed in the weight's own precision."""
    if not nine:
        return phase_kernel(weight).permute(2, 3, 0, 1).flatten(0, 1).contiguous()
    rows, columns = weight.sum(3), weight.sum(2)
    corners = [weight[:, :, i, j] for i in (0, 2) for j in (0, 2)]
    parts = [weight.sum((2, 3)), rows[:, :, 0], rows[:, :, 2], columns[:, :, 0], columns[:, :, 2], *corners]
    return torch.stack(parts).transpose(1, 2).contiguous()


def repack(kernel: Tensor, nine: bool = False) -> Tensor:
    """Return the kernels' weights from what :func:`phase_kernel` made, (C, O, k+1, k+1)."""
    if not nine:
        return kernel.permute(2, 3, 0, 1).flatten(0, 1).contiguous()
    k = kernel.float()  # along one axis its four entries are w2, w1+w2, w0+w1, w0
    whole, first, last = k[:, :, 0] + k[:, :, 2], k[:, :, 3], k[:, :, 0]  # w0+w1+w2, w0, w2 of the rows
    parts = [whole[..., 0] + whole[..., 2], *(t[..., 0] + t[..., 2] for t in (first, last))]
    parts += [whole[..., 3], whole[..., 0], first[..., 3], first[..., 0], last[..., 3], last[..., 0]]
    return torch.stack(parts).to(kernel.dtype).contiguous()


def launch(x: Tensor, packed: Tensor, bias: Tensor | None, size: int, nine: bool, activation: int) -> Tensor:
    """Convolve with the packed weights of a ``size`` x ``size`` kernel; the result is channels_last."""
    x = x.contiguous(memory_format=torch.channels_last)
    _, channels, height, width = x.shape
    out_channels = packed.shape[2]
    bias = x.new_zeros(out_channels) if bias is None else bias
    y = output_like(x, out_channels, 2, True)
    pixels = x.shape[0] * height * width
    if not y.numel():
        return y
    block_m = 64 if nine or pixels < 2**14 else 128
    block_n = min(max(triton.next_power_of_2(out_channels), 16), 64)
    block_k = min(max(triton.next_power_of_2(channels), 16), 64 if x.element_size() == 2 else 16 if nine else 32)
    grid = (triton.cdiv(pixels, block_m), triton.cdiv(out_channels, block_n))
    sizes = (pixels, height, width, channels, out_channels)
    blocks = (max(x.numel(), y.numel()) >= 2**31, block_m, block_n, block_k)
    options = dict(num_stages=2, num_warps=8 if block_m * block_n > 64 * 64 else 4)
    with device_of(x):
        if nine:
            _nine_kernel[grid](x, packed, bias, y, *sizes, activation, precision(x), *blocks, **options)
        else:
            reach = (size + 1) // 4
            _phase_kernel[grid](x, packed, bias, y, *sizes, size, reach, activation, precision(x), *blocks, **options)
    return y


def precision(x: Tensor) -> str:
    """Return how float32 products are formed: as torch's own convolutions do on this device."""
    if not x.is_cuda:
        return "upcast"
    return "tf32" if torch.backends.cudnn.allow_tf32 else "ieee"


@torch.library.custom_op("ofhkit::upsample_conv2d", mutates_args=())
def upsample_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, nine: bool) -> Tensor:
    """Return nearest x2 of ``x`` convolved with ``weight`` (k = 3, 5, ...; 3 for the nine-product form).

    Shape:
        ``x`` (N, C, H, W), ``weight`` (O, C, k, k), ``bias`` (O,) -> (N, O, 2H, 2W), channels_last.
    """
    return launch(x, pack(weight.float(), nine).to(weight.dtype), bias, weight.shape[-1], nine, 0)


@upsample_conv2d.register_fake
def _(x, weight, bias, nine):
    return output_like(x, weight.shape[0], 2, True)


@torch.library.custom_op("ofhkit::upsample_conv2d_backward", mutates_args=())
def upsample_conv2d_backward(
    grad: Tensor, x: Tensor, weight: Tensor, need_x: bool, need_weight: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of input, weight and bias by the strided convolutions of the transposed form."""
    pad = [weight.shape[-1] // 2] * 2
    kernel = phase_kernel(weight.float()).to(weight.dtype)
    dx = F.conv2d(grad, kernel, stride=2, padding=pad) if need_x else x.new_empty(0)
    dweight = weight.new_empty(0)
    if need_weight:
        dkernel = torch.ops.aten.convolution_backward(
            x, grad, kernel, None, [2, 2], pad, [1, 1], False, [0, 0], 1, [False, True, False]
        )[1]
        windows = F.avg_pool2d(dkernel.float(), 2, stride=1, divisor_override=1)  # the adjoint of summing over windows
        dweight = windows.transpose(0, 1).flip(-1, -2).to(weight.dtype).contiguous()
    return dx, dweight, grad.sum((0, 2, 3))


@upsample_conv2d_backward.register_fake
def _(grad, x, weight, need_x, need_weight):
    pad = weight.shape[-1] // 2
    dx = F.conv2d(grad, phase_kernel(weight), stride=2, padding=pad) if need_x else x.new_empty(0)
    dweight = weight.new_empty(weight.shape) if need_weight else weight.new_empty(0)
    return dx, dweight, grad.new_empty(grad.shape[1])


def _setup(ctx, inputs, output):
    x, weight, bias, _ = inputs
    ctx.has_bias = bias is not None
    ctx.save_for_backward(x, weight)


def _gradient(ctx, grad):
    x, weight = ctx.saved_tensors
    need_x, need_weight = ctx.needs_input_grad[:2]
    dx, dweight, dbias = upsample_conv2d_backward(grad, x, weight, need_x, need_weight)
    return dx if need_x else None, dweight if need_weight else None, dbias if ctx.has_bias else None, None


upsample_conv2d.register_autograd(_gradient, setup_context=_setup)


@torch.library.custom_op("ofhkit::upsample_conv2d_packed", mutates_args=())
def upsample_conv2d_packed(
    x: Tensor, packed: Tensor, bias: Tensor, size: int, nine: bool, activation: int = 0
) -> Tensor:
    """Return the same for inference, from weights that :func:`ofhkit.ops.triton_conv.pack` made, and activate it."""
    return launch(x, packed, bias, size, nine, activation)


@upsample_conv2d_packed.register_fake
def _(x, packed, bias, size, nine, activation=0):
    return output_like(x, packed.shape[2], 2, True)
