"""The kernels of :mod:`ofhkit.ops.triton_affine` as torch operators: autograd, fake tensors, ``torch.compile``."""

from __future__ import annotations

import torch
from torch import Tensor

from ofhkit.ops import triton_affine as kernels
from ofhkit.ops.triton_support import output_like


@torch.library.custom_op("ofhkit::affine_relu_upsample", mutates_args=())
def affine_relu_upsample(x: Tensor, scale: Tensor, shift: Tensor, relu: bool, upsample: bool) -> Tensor:
    """Return ``nearest_x2(relu(scale * x + shift))``, ReLU and upsampling as asked.

    Shape:
        ``x`` (N, C, H, W), ``scale`` and ``shift`` (C,) -> (N, C, 2H, 2W) or (N, C, H, W), in the layout of ``x``.
    """
    return kernels.forward(x, scale, shift, relu, upsample)


@affine_relu_upsample.register_fake
def _(x, scale, shift, relu, upsample):
    return _fake(x, upsample)


@torch.library.custom_op("ofhkit::affine_relu_upsample_backward", mutates_args=())
def affine_backward(
    grad: Tensor, x: Tensor, scale: Tensor, shift: Tensor, relu: bool, upsample: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of ``x``, ``scale`` and ``shift``, in one pass."""
    zero = torch.zeros_like(scale, dtype=torch.float32)
    dx, total, total_x = kernels.backward(grad, x, scale, shift, relu, upsample, (scale.float(), zero, zero), True)
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

    Shape:
        ``x`` (N, C, H, W), ``weight`` and ``bias`` (C,) -> the map, its mean and its biased variance (C,) float32; the
        last two carry no gradient.
    """
    mean, var = kernels.moments(x)
    scale, shift = _affine_of(weight, bias, mean, var, eps)
    return kernels.forward(x, scale, shift, relu, upsample), mean, var


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
    _, total, total_x = kernels.backward(grad, x, scale, shift, relu, upsample, None, True)
    rstd = (var + eps).rsqrt()
    dweight = rstd * (total_x - mean * total)
    count = max(x.numel() // max(x.shape[1], 1), 1)  # of the small map: its gradients are already sums of four
    of_x = -scale * rstd * dweight / count
    constant = -scale * total / count - of_x * mean
    dx, _, _ = kernels.backward(grad, x, scale, shift, relu, upsample, (scale, of_x, constant), False)
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
    return output_like(x, x.shape[1], 2 if upsample else 1, kernels.keeps_channels_last(x))
