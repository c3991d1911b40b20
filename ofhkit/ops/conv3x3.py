"""A 3x3 convolution whose forward pass and data gradient, in training on a CPU, are the kernel's in C.

The data gradient of a 3x3 convolution is a 3x3 convolution of the output's gradient with the mirrored, transposed
kernel. The weight's gradient is torch's own.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ofhkit.ops import native_conv


class Conv3x3(nn.Conv2d):
    """``nn.Conv2d`` with a 3x3 kernel, stride 1 and padding 0 or 1; same keys, same function.

    Where gradients are wanted and the compiled kernel takes input and widths (:mod:`ofhkit.ops.native_conv`: float32 on
    a CPU) it runs, and second derivatives raise; everywhere else, and with another implementation than ``'auto'``,
    torch's operators run.

    Shape:
        (N, in_channels, H, W) -> (N, out_channels, H - 2 + 2*padding, W - 2 + 2*padding), any range.

    >>> Conv3x3(4, 8)(torch.rand(1, 4, 5, 5)).shape
    torch.Size([1, 8, 3, 3])
    """

    def __init__(self, in_channels: int, out_channels: int, padding: int = 0, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 3, padding=padding, bias=bias)
        self.implementation = "auto"

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        wanted = (
            self.implementation == "auto" and torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        )
        plain = torch.is_autocast_enabled(x.device.type) or min(x.shape[-2:]) < 3
        if not wanted or plain or not native_conv.suits(x, self.weight, self.bias):
            return super().forward(x)
        return _Conv3x3.apply(x, self.weight, self.bias, int(self.padding[0]))


class _Conv3x3(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding, ctx.sizes = padding, None if bias is None else [len(weight)]
        return convolve(x, weight, bias, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        need_x, *need_parameters, _ = ctx.needs_input_grad
        grad_x = convolve(grad, mirrored(weight), None, 2 - ctx.padding) if need_x else None
        grad_weight = grad_bias = None
        if any(need_parameters):
            _, grad_weight, grad_bias = torch.ops.aten.convolution_backward(
                grad,
                x,
                weight,
                ctx.sizes,
                [1, 1],
                [ctx.padding] * 2,
                [1, 1],
                False,
                [0, 0],
                1,
                [False, *need_parameters],
            )
        return grad_x, grad_weight, grad_bias, None


def mirrored(weight: Tensor) -> Tensor:
    """The kernel that carries the output's gradient to the input.

    Shape:
        (O, C, k, k) -> (C, O, k, k)
    """
    return weight.flip(-1, -2).transpose(0, 1).contiguous(memory_format=torch.channels_last)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, relu: bool = False) -> Tensor:
    """Convolve with a 3x3 kernel, by the kernel in C where it takes these tensors; not differentiable.

    Shape:
        ``x`` (N, C, H, W), ``weight`` (O, C, 3, 3) -> (N, O, H - 2 + 2*padding, W - 2 + 2*padding); ``padding`` 0, 1, 2
    """
    if not native_conv.suits(x, weight, bias):
        y = F.conv2d(x, weight, bias, padding=padding)
        return y.relu_() if relu else y
    if padding == 2:  # the kernel pads by one: for more the map is padded before, for less its border is cut off
        x = F.pad(x, (1, 1, 1, 1))
    bias = x.new_zeros(len(weight)) if bias is None else bias
    y = native_conv.conv2d(x, native_conv.pack(weight), bias, relu)
    return y if padding else y[..., 1:-1, 1:-1].contiguous(memory_format=torch.channels_last)
