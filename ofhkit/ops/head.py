"""The head of an upsampling network in training on a CPU: its three convolutions a few images at a time.

At the full size of a face the head's maps are the largest of a training step. They are kept for the backward pass, as
autograd keeps them; but their gradients live only for one micro-batch, in which a ReLU's is taken in place. Outputs and
gradients are those of the plain chain; a weight's gradient is the sum over micro-batches.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofhkit.errors import OfhkitError
from ofhkit.ops import native_conv
from ofhkit.ops.conv3x3 import convolve, mirrored, parameter_gradients
from ofhkit.ops.layouts import narrow_conv2d, narrow_weight_gradient, phase_kernel
from ofhkit.ops.norm_upsample import hooked, norm_relu_upsample
from ofhkit.ops.upsample_conv import UpsampleConv2d

MICRO_BATCH = 2**22  # elements of the largest map: four images of 64 channels at 128x128

_aten = torch.ops.aten


def upsampling_head(
    x: Tensor, conv1: UpsampleConv2d, conv2: nn.Conv2d, conv3: nn.Conv2d, norm: nn.Module | None = None
) -> Tensor:
    """Return ``sigmoid(conv3(relu(conv2(relu(conv1(x))))))``, where ``conv1`` upsamples twofold.

    With ``norm``, what ``conv1`` reads is not ``x`` but ``relu(norm(x))``: :func:`ofhkit.ops.norm_relu_upsample`.

    In training on a CPU, micro-batches; elsewhere, with an implementation other than the phase form, and where one of
    the convolutions has hooks, the plain chain. The convolutions are 3x3, padded, with biases.

    Shape:
        (N, C, H, W), any range -> (N, O, 2H, 2W) in (0, 1)

    >>> convs = UpsampleConv2d(4, 4), nn.Conv2d(4, 2, 3, padding=1), nn.Conv2d(2, 3, 3, padding=1)
    >>> upsampling_head(torch.rand(2, 4, 8, 8), *convs).shape
    torch.Size([2, 3, 16, 16])
    """
    if _in_micro_batches(x, conv1, conv2, conv3):
        x = x if norm is None else F.relu(norm(x), inplace=True)
        first = phase_kernel(conv1.weight), conv1.bias
        return _Head.apply(
            x, conv1.implementation == "auto", *first, conv2.weight, conv2.bias, conv3.weight, conv3.bias
        )
    (x,) = (conv1(x),) if norm is None else norm_relu_upsample(x, norm, conv1)
    x = F.relu(x, inplace=True)
    x = F.relu(conv2(x), inplace=True)
    return torch.sigmoid(conv3(x))


def _in_micro_batches(x: Tensor, conv1: UpsampleConv2d, *others: nn.Conv2d) -> bool:
    return (
        x.device.type == "cpu"
        and x.numel() > 0
        and torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and conv1.implementation in ("auto", "phase")
        and not any(hooked(conv) for conv in (conv1, *others))
    )


class _Head(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, native: bool, *parameters: Tensor) -> Tensor:
        if torch.is_autocast_enabled("cpu") and x.dtype != torch.float64:
            x = x.to(torch.get_autocast_dtype("cpu"))
        kernel, b1, w2, b2, w3, b3 = (p.to(x.dtype) for p in parameters)
        size = max(1, MICRO_BATCH // (4 * x[0, 0].numel() * len(b1)))
        parts = x.split(size)
        native = native and native_conv.suits(x, kernel, b1, transposed=True)
        packed = native_conv.pack(kernel, transposed=True) if native else None
        maps: list[tuple[Tensor, Tensor, Tensor]] = []
        with torch.autocast("cpu", enabled=False):
            for part in parts:
                if packed is None:
                    y1 = F.conv_transpose2d(part, kernel, b1, stride=2, padding=1).relu_()
                else:
                    y1 = native_conv.upsample_conv2d(part, packed, b1, relu=True)
                y2 = convolve(y1, w2, b2, 1, relu=True) if native else F.conv2d(y1, w2, b2, padding=1).relu_()
                maps.append((y1, y2, narrow_conv2d(y2, w3, b3, padding=1).sigmoid_()))
        y = torch.cat([y3 for *_, y3 in maps])
        ctx.save_for_backward(x, kernel, w2, w3, y, *(m for y1, y2, _ in maps for m in (y1, y2)))
        ctx.native, ctx.size, ctx.dtypes = native, size, [p.dtype for p in parameters]
        return y

    @staticmethod
    def backward(ctx, grad: Tensor):
        if torch.is_grad_enabled():
            raise OfhkitError(
                "upsampling_head has no second derivative (create_graph=True): "
                "call ofhkit.ops.set_implementation(model, 'plain') first."
            )
        x, kernel, w2, w3, y, *maps = ctx.saved_tensors
        grads_x, sums, need_x = [], [], ctx.needs_input_grad[0]
        pieces = zip(x.split(ctx.size), y.split(ctx.size), grad.to(x.dtype).split(ctx.size), strict=True)
        for (part, y3, g), y1, y2 in zip(pieces, maps[::2], maps[1::2], strict=True):
            g = _aten.sigmoid_backward(g, y3)
            third = narrow_weight_gradient(y2, g, w3, padding=1), g.sum((0, 2, 3))
            g = _relu_backward_(_conv_backward(g, y2, w3, mask=(True, False, False))[0], y2)
            if ctx.native:
                second = parameter_gradients(y1, g, w2, 1)
                g = _relu_backward_(convolve(g, mirrored(w2), None, 1), y1)
                data, first = native_conv.upsample_conv2d_gradients(part, g, kernel, need_x, True)
            else:
                data, *second = _conv_backward(g, y1, w2)
                g = _relu_backward_(data, y1)
                first = _conv_backward(part, g, kernel, stride=2, mask=(False, True, False))[1]
                data = F.conv2d(g, kernel, stride=2, padding=1) if need_x else None
            first = first, g.sum((0, 2, 3))
            grads_x.append(data)
            sums = _add(sums, [*first, *second, *third])
        grad_x = torch.cat(grads_x) if need_x else None
        return grad_x, None, *(g.to(dtype) for g, dtype in zip(sums, ctx.dtypes, strict=True))


def _conv_backward(grad: Tensor, x: Tensor, weight: Tensor, stride: int = 1, mask=(True, True, True)) -> list[Tensor]:
    bias = [len(weight)] if mask[2] else None
    return _aten.convolution_backward(grad, x, weight, bias, [stride] * 2, [1, 1], [1, 1], False, [0, 0], 1, mask)


def _relu_backward_(grad: Tensor, y: Tensor) -> Tensor:
    return _aten.threshold_backward.grad_input(grad, y, 0, grad_input=grad)


def _add(sums: list[Tensor], new: list[Tensor]) -> list[Tensor]:
    """Add in at least single precision."""
    if not sums:
        return [g if g.dtype == torch.float64 else g.float() for g in new]
    return [total.add_(g) for total, g in zip(sums, new, strict=True)]
