"""The kernels of :mod:`ofhkit.ops.triton_conv` as torch operators: autograd, fake tensors, ``torch.compile``."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ofhkit.ops import triton_conv as kernels
from ofhkit.ops.phases import phase_kernel
from ofhkit.ops.triton_support import output_like


@torch.library.custom_op("ofhkit::upsample_conv2d", mutates_args=())
def upsample_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, nine: bool) -> Tensor:
    """Return nearest x2 of ``x`` convolved with ``weight`` (k = 3, 5, ...; 3 for the nine-product form).

    Shape:
        ``x`` (N, C, H, W), ``weight`` (O, C, k, k), ``bias`` (O,) -> (N, O, 2H, 2W), channels_last.
    """
    return kernels.launch(x, kernels.pack(weight.float(), nine).to(weight.dtype), bias, weight.shape[-1], nine, 0)


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
    return kernels.launch(x, packed, bias, size, nine, activation)


@upsample_conv2d_packed.register_fake
def _(x, packed, bias, size, nine, activation=0):
    return output_like(x, packed.shape[2], 2, True)
