"""A 3x3 convolution whose forward pass and gradients, in training on a CPU, are the kernels' in C.

The data gradient of a 3x3 convolution is a 3x3 convolution of the output's gradient with the mirrored, transposed
kernel. The weight's gradient is the forward pass transposed: as few products, summed over all tiles.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ofhkit.ops import native_conv

LEAST_SIDE = 12  # of a map, for its weight's gradient to be faster in C


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
        ctx.padding = padding
        return convolve(x, weight, bias, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        need_x, *need_parameters, _ = ctx.needs_input_grad
        grad_x = convolve(grad, mirrored(weight), None, 2 - ctx.padding) if need_x else None
        grad_weight, grad_bias = parameter_gradients(x, grad, weight, ctx.padding, *need_parameters)
        return grad_x, grad_weight, grad_bias, None


def parameter_gradients(
    x: Tensor, grad: Tensor, weight: Tensor, padding: int, need_weight: bool = True, need_bias: bool = True
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients of weight and bias in ``F.conv2d(x, weight, bias, padding=padding)``, for padding 0 or 1.

    Where the kernel in C takes the tensors and the map is not tiny it computes the weight's.
    """
    few = min(x.shape[-2:]) < LEAST_SIDE or not need_weight
    if few or not (native_conv.suits(x, weight, None) and native_conv.readable(grad, len(weight))):
        mask = [False, need_weight, need_bias]
        sizes = [len(weight)], [1, 1], [padding] * 2, [1, 1], False, [0, 0], 1, mask
        return torch.ops.aten.convolution_backward(grad, x, weight, *sizes)[1:] if any(mask) else (None, None)
    grad_bias = grad.sum((0, 2, 3)) if need_bias else None
    return native_conv.conv2d_weight_gradient(x, grad if padding else F.pad(grad, (1, 1, 1, 1))), grad_bias


def mirrored(weight: Tensor) -> Tensor:
    """The kernel that carries the output's gradient to the input: (O, C, k, k) -> (C, O, k, k)."""
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
