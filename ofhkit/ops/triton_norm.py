"""Triton: channel-wise affine map, ReLU and nearest x2 in one pass; batch normalisation of the small map around it.

A training step reads the small map twice and writes the large one once, where the plain operators move it eleven times.
The backward pass sums the four children's gradients on the fly and recomputes the ReLU's mask. Sums are added in a
fixed order: deterministic. Importing this module needs Triton (:func:`ofhkit.ops.autotune.takes`).
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ofhkit.ops.autotune import device_of, output_like

_BLOCK = 1024  # elements a program of the elementwise kernel
_TILE = 1024  # pixels x channels a step of the reducing kernels
_STEPS = 8  # at most, steps a program of the reducing kernels


@triton.jit
def _forward_kernel(x, scale, shift, y, total, C, H, W, CHANNELS_LAST: tl.constexpr, RELU: tl.constexpr,
                    UP: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = i < total
    if CHANNELS_LAST:  # i runs over the input, (n, h, w, c)
        c = i % C
        source = i
    elif UP:  # i runs over one of two equal output rows, (n, c, h, 2w)
        row = i // (2 * W)
        c = (row // H) % C
        source = row * W + (i % (2 * W)) // 2
    else:
        c = (i // (H * W)) % C
        source = i
    v = tl.load(x + source, mask=inside).to(tl.float32)
    v = v * tl.load(scale + c, mask=inside).to(tl.float32) + tl.load(shift + c, mask=inside).to(tl.float32)
    if RELU:
        v = tl.where((v > 0) | (v != v), v, 0.0)  # NaN stays NaN, as in torch
    v = v.to(y.dtype.element_ty)
    if not UP:
        tl.store(y + i, v, mask=inside)
    elif CHANNELS_LAST:
        pixel = i // C
        target = y + ((pixel // W) * 4 * W + 2 * (pixel % W)) * C + c
        tl.store(target, v, mask=inside)
        tl.store(target + C, v, mask=inside)
        tl.store(target + 2 * W * C, v, mask=inside)
        tl.store(target + 2 * W * C + C, v, mask=inside)
    else:
        target = y + (i // (2 * W)) * 4 * W + i % (2 * W)
        tl.store(target, v, mask=inside)
        tl.store(target + 2 * W, v, mask=inside)


@triton.jit
def _offsets(pixel, c, C, H, W, CHANNELS_LAST: tl.constexpr, UP: tl.constexpr):
    """Return the input's offset, the first child's offset and the children's row and column steps."""
    if CHANNELS_LAST:
        x = pixel * C + c
        if UP:
            return x, ((pixel // W) * 4 * W + 2 * (pixel % W)) * C + c, 2 * W * C, C
        return x, x, 0, 0
    plane = (pixel // (H * W)) * C + c
    x = plane * H * W + pixel % (H * W)
    if UP:
        inner = pixel % (H * W)
        return x, plane * 4 * H * W + (inner // W) * 4 * W + 2 * (inner % W), 2 * W, 1
    return x, x, 0, 0


@triton.jit
def _backward_kernel(grad, x, scale, shift, of_grad, of_x, constant, dx, sum_grad, sum_grad_x, pixels, C, H, W,
                     CHANNELS_LAST: tl.constexpr, RELU: tl.constexpr, UP: tl.constexpr, WRITE: tl.constexpr,
                     SUMS: tl.constexpr, STEPS: tl.constexpr, BP: tl.constexpr, BC: tl.constexpr):  # fmt: skip
    """With s = masked sum of the children's gradients: dx = of_grad*s + of_x*x + constant, and/or sums of s and s*x."""
    program = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    known = c < C
    a = tl.load(scale + c, mask=known, other=0.0).to(tl.float32)[None, :]
    b = tl.load(shift + c, mask=known, other=0.0).to(tl.float32)[None, :]
    if WRITE:
        p = tl.load(of_grad + c, mask=known, other=0.0)[None, :]
        q = tl.load(of_x + c, mask=known, other=0.0)[None, :]
        r = tl.load(constant + c, mask=known, other=0.0)[None, :]
    total = tl.zeros([BP, BC], tl.float32)
    total_x = tl.zeros([BP, BC], tl.float32)
    for step in range(STEPS):
        pixel = (program * STEPS + step) * BP + tl.arange(0, BP)
        inside = (pixel < pixels)[:, None] & known[None, :]
        at_x, at, down, right = _offsets(pixel[:, None], c[None, :], C, H, W, CHANNELS_LAST, UP)
        value = tl.load(x + at_x, mask=inside, other=0.0).to(tl.float32)
        s = tl.load(grad + at, mask=inside, other=0.0).to(tl.float32)
        if UP:
            s += tl.load(grad + at + right, mask=inside, other=0.0).to(tl.float32)
            s += tl.load(grad + at + down, mask=inside, other=0.0).to(tl.float32)
            s += tl.load(grad + at + down + right, mask=inside, other=0.0).to(tl.float32)
        if RELU:
            y = value * a + b
            s = tl.where((y > 0) | (y != y), s, 0.0)
        if SUMS:
            total += s
            total_x += tl.where(inside, s * value, 0.0)
        if WRITE:
            tl.store(dx + at_x, (p * s + q * value + r).to(dx.dtype.element_ty), mask=inside)
    if SUMS:
        tl.store(sum_grad + program * C + c, tl.sum(total, 0), mask=known)
        tl.store(sum_grad_x + program * C + c, tl.sum(total_x, 0), mask=known)


@triton.jit
def _moments_kernel(x, sums, squares, pixels, C, H, W, CHANNELS_LAST: tl.constexpr, STEPS: tl.constexpr,
                    BP: tl.constexpr, BC: tl.constexpr):  # fmt: skip
    """Sums of x - x0 and (x - x0)^2, x0 each channel's first value: no digits are lost to a large mean."""
    program = tl.program_id(0).to(tl.int64)
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    known = c < C
    first, _, _, _ = _offsets(c.to(tl.int64) * 0, c, C, H, W, CHANNELS_LAST, False)
    origin = tl.load(x + first, mask=known, other=0.0).to(tl.float32)[None, :]
    total = tl.zeros([BP, BC], tl.float32)
    total_square = tl.zeros([BP, BC], tl.float32)
    for step in range(STEPS):
        pixel = (program * STEPS + step) * BP + tl.arange(0, BP)
        inside = (pixel < pixels)[:, None] & known[None, :]
        at, _, _, _ = _offsets(pixel[:, None], c[None, :], C, H, W, CHANNELS_LAST, False)
        d = tl.load(x + at, mask=inside, other=0.0).to(tl.float32) - origin
        d = tl.where(inside, d, 0.0)
        total += d
        total_square += d * d
    tl.store(sums + program * C + c, tl.sum(total, 0), mask=known)
    tl.store(squares + program * C + c, tl.sum(total_square, 0), mask=known)


def forward(x: Tensor, scale: Tensor, shift: Tensor, relu: bool, upsample: bool) -> Tensor:
    """Launch ``nearest_x2(relu(scale * x + shift))``; ReLU and upsampling as asked."""
    x, last = dense(x)
    _, channels, height, width = x.shape
    y = output_like(x, channels, 2 if upsample else 1, last)
    total = x.numel() * (2 if upsample and not last else 1)
    if total:
        with device_of(x):
            _forward_kernel[(triton.cdiv(total, _BLOCK),)](
                x, scale, shift, y, total, channels, height, width, last, relu, upsample, _BLOCK
            )
    return y


def backward(
    grad: Tensor, x: Tensor, scale: Tensor, shift: Tensor, relu: bool, upsample: bool, coefficients: tuple | None,
    sums: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Launch the backward kernel; ``coefficients`` are (of_grad, of_x, constant) of dx, or None for the sums alone."""
    x, last = dense(x)
    grad = grad.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    _, channels, height, width = x.shape
    pixels = x.numel() // max(channels, 1)
    steps, block_p, block_c, programs = tiles(pixels, channels, last)
    dx = torch.empty_like(x) if coefficients else x
    partial = torch.zeros((2, programs, channels), device=x.device, dtype=torch.float32)
    if x.numel():
        with device_of(x):
            _backward_kernel[(programs, triton.cdiv(channels, block_c))](
                grad, x, scale, shift, *(coefficients or (scale, scale, scale)), dx, partial[0], partial[1],
                pixels, channels, height, width, last, relu, upsample, coefficients is not None, sums, steps,
                block_p, block_c,
            )  # fmt: skip
    total, total_x = partial.double().sum(1).float()
    return dx, total.clone(), total_x.clone()  # an operator returns no two views of one tensor


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the biased variance of each channel, float32."""
    x, last = dense(x)
    _, channels, height, width = x.shape
    pixels = x.numel() // max(channels, 1)
    steps, block_p, block_c, programs = tiles(pixels, channels, last)
    partial = torch.zeros((2, programs, channels), device=x.device, dtype=torch.float32)
    if not x.numel():
        return partial[0].sum(0) / 0, partial[1].sum(0) / 0
    with device_of(x):
        _moments_kernel[(programs, triton.cdiv(channels, block_c))](
            x, partial[0], partial[1], pixels, channels, height, width, last, steps, block_p, block_c
        )
    mean, square = partial.double().sum(1) / pixels
    return (x[0, :, 0, 0].double() + mean).float(), (square - mean * mean).clamp_(min=0).float()


def dense(x: Tensor) -> tuple[Tensor, bool]:
    """Return ``x`` in one of the two layouts the kernels know, and whether that is channels_last."""
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return (x if last else x.contiguous()), last


def tiles(pixels: int, channels: int, last: bool) -> tuple[int, int, int, int]:
    """Return the reducing kernels' (steps a program, pixels a step, channels a program, programs along the pixels)."""
    block_c = min(triton.next_power_of_2(max(channels, 1)), 64) if last else 1
    block_p = max(_TILE // block_c, 16)
    steps = min(_STEPS, triton.next_power_of_2(max(triton.cdiv(pixels, block_p), 1)))
    return steps, block_p, block_c, max(triton.cdiv(pixels, block_p * steps), 1)


@torch.library.custom_op("ofhkit::affine_relu_upsample", mutates_args=())
def affine_relu_upsample(x: Tensor, scale: Tensor, shift: Tensor, relu: bool, upsample: bool) -> Tensor:
    """Return ``nearest_x2(relu(scale * x + shift))``, ReLU and x2 as asked; scale and shift are (C,)."""
    return forward(x, scale, shift, relu, upsample)


@affine_relu_upsample.register_fake
def _(x, scale, shift, relu, upsample):
    return _fake(x, upsample)


@torch.library.custom_op("ofhkit::affine_relu_upsample_backward", mutates_args=())
def affine_backward(
    grad: Tensor, x: Tensor, scale: Tensor, shift: Tensor, relu: bool, upsample: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of ``x``, ``scale`` and ``shift``, in one pass."""
    zero = torch.zeros_like(scale, dtype=torch.float32)
    dx, total, total_x = backward(grad, x, scale, shift, relu, upsample, (scale.float(), zero, zero), True)
    return dx, total_x.to(scale.dtype), total.to(shift.dtype)


@affine_backward.register_fake
def _(grad, x, scale, shift, relu, upsample):
    return _fake(x, False), torch.empty_like(scale), torch.empty_like(shift)


def _affine_setup(ctx, inputs, output):
    x, scale, shift, ctx.relu, ctx.upsample = inputs
    ctx.save_for_backward(x, scale, shift)


def _affine_gradient(ctx, grad):
    return *affine_backward(grad, *ctx.saved_tensors, ctx.relu, ctx.upsample), None, None


affine_relu_upsample.register_autograd(_affine_gradient, setup_context=_affine_setup)


@torch.library.custom_op("ofhkit::batch_norm_relu_upsample", mutates_args=())
def batch_norm_relu_upsample(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, relu: bool, upsample: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise with the batch's own statistics, then ReLU and nearest x2 as asked.

    Also return mean and biased variance, (C,) float32, which carry no gradient.
    """
    mean, var = moments(x)
    scale, shift = _affine_of(weight, bias, mean, var, eps)
    return forward(x, scale, shift, relu, upsample), mean, var


@batch_norm_relu_upsample.register_fake
def _(x, weight, bias, eps, relu, upsample):
    statistic = x.new_empty(x.shape[1], dtype=torch.float32)
    return _fake(x, upsample), statistic, torch.empty_like(statistic)


@torch.library.custom_op("ofhkit::batch_norm_relu_upsample_backward", mutates_args=())
def batch_norm_backward(
    grad: Tensor, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float, relu: bool,
    upsample: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the gradients of ``x``, ``weight`` and ``bias``: one reducing pass, one writing pass."""
    scale, shift = _affine_of(weight, bias, mean, var, eps)
    _, total, total_x = backward(grad, x, scale, shift, relu, upsample, None, True)
    rstd = (var + eps).rsqrt()
    dweight = rstd * (total_x - mean * total)
    count = max(x.numel() // max(x.shape[1], 1), 1)  # of the small map: its gradients are already sums of four
    of_x = -scale * rstd * dweight / count
    constant = -scale * total / count - of_x * mean
    dx, _, _ = backward(grad, x, scale, shift, relu, upsample, (scale, of_x, constant), False)
    return dx, dweight.to(weight.dtype), total.to(bias.dtype)


@batch_norm_backward.register_fake
def _(grad, x, weight, bias, mean, var, eps, relu, upsample):
    return _fake(x, False), torch.empty_like(weight), torch.empty_like(bias)


def _norm_setup(ctx, inputs, output):
    x, weight, bias, ctx.eps, ctx.relu, ctx.upsample = inputs
    _, mean, var = output
    ctx.mark_non_differentiable(mean, var)
    ctx.save_for_backward(x, weight, bias, mean, var)


def _norm_gradient(ctx, grad, _mean, _var):
    return *batch_norm_backward(grad, *ctx.saved_tensors, ctx.eps, ctx.relu, ctx.upsample), None, None, None


batch_norm_relu_upsample.register_autograd(_norm_gradient, setup_context=_norm_setup)


def _affine_of(weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    scale = weight.float() * (var + eps).rsqrt()
    return scale, bias.float() - mean * scale


def _fake(x: Tensor, upsample: bool) -> Tensor:
    return output_like(x, x.shape[1], 2 if upsample else 1, dense(x)[1])
