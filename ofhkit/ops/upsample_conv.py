"""Nearest x2 followed by a convolution, computed on the small map.

Every pixel of a nearest-upsampled map is repeated 2x2 times, so the k x k taps that fall on one source pixel can be
added up beforehand. What is left is a transposed convolution of the *small* map: stride 2 and a (k+1) x (k+1) kernel,
the k x k kernel summed over 2 x 2 windows. Its four output phases are (k+1)/2 x (k+1)/2 convolutions: 16 instead of 36
products per input pixel for k = 3, 36 instead of 100 for k = 5. Zero padding is reproduced exactly at the borders, and
neither the upsampled map nor its gradient ever exists in memory.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.ops import native_conv
from ofhkit.ops.autotune import choose_way, key_of, may_measure, takes
from ofhkit.ops.layouts import phase_kernel, upsample_nearest

IMPLEMENTATIONS = ("auto", "enlarged", "nine", "phase", "plain", "triton")


def upsample_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None, implementation: str = "auto") -> Tensor:
    """Convolve ``x``, upsampled twofold by nearest neighbour, with zero padding that keeps its size.

    Args:
        x: The map *before* upsampling.
        weight: An odd, square kernel, as for :func:`torch.nn.functional.conv2d`.
        bias: One number an output channel.
        implementation: ``'plain'`` and ``'enlarged'`` upsample and convolve; ``'phase'`` is the same function computed
            on the small map; ``'triton'`` the phases in one Triton kernel and ``'nine'`` the form with the fewest
            products (k = 3), both phase where Triton cannot run; ``'auto'`` is phase, in training on a CPU by the
            kernel in C where that can be had, and on CUDA the fastest of all, measured once.

    Shape:
        ``x`` (N, C, H, W), ``weight`` (O, C, k, k), ``bias`` (O,) -> (N, O, 2H, 2W), any range.

    Raises:
        OfhkitError: The kernel is not odd and square, or the implementation is unknown.

    >>> x, weight = torch.rand(1, 2, 4, 5), torch.rand(3, 2, 3, 3)
    >>> torch.allclose(upsample_conv2d(x, weight), upsample_conv2d(x, weight, implementation='plain'), atol=1e-5)
    True
    """
    check_implementation(implementation)
    size = weight.shape[-1]
    if weight.ndim != 4 or weight.shape[-2] != size or size % 2 == 0:
        raise OfhkitError(f"upsample_conv2d: weight must be (O, C, k, k) with an odd k, not {tuple(weight.shape)}.")
    if size == 1 and implementation != "plain":  # commutes with the upsampling
        return upsample_nearest(F.conv2d(x, weight, bias))
    if implementation == "auto" and may_measure(x):
        given = [t for t in (x, weight, bias) if t is not None]
        key = "conv", weight.shape, *key_of(x)
        implementation = choose_way(key, ways(x), lambda way: (_WAYS[way](x, weight, bias),), given)
    return _WAYS[implementation](x, weight, bias)


def ways(x: Tensor) -> tuple[str, ...]:
    """Return the implementations that ``'auto'`` chooses from on CUDA; the first is the reference."""
    return ("phase", "enlarged", "triton", "nine") if takes(x) else ("phase", "enlarged")


def check_implementation(name: str) -> None:
    """Raise :class:`OfhkitError` unless ``name`` is one of :data:`IMPLEMENTATIONS`."""
    if name not in IMPLEMENTATIONS:
        raise OfhkitError(f"implementation={name!r} is unknown: {did_you_mean(name, IMPLEMENTATIONS)}.")


def set_implementation(model: nn.Module, name: str) -> nn.Module:
    """Choose the implementation of every upsampling operator inside ``model``; returns ``model``.

    Raises:
        OfhkitError: The implementation is unknown.

    >>> set_implementation(nn.Sequential(UpsampleConv2d(1, 1)), 'plain')[0].implementation
    'plain'
    """
    check_implementation(name)
    for module in model.modules():
        if hasattr(module, "implementation"):
            module.implementation = name
    return model


def _autocast(*tensors: Tensor | None) -> tuple[Tensor | None, ...]:
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return tensors
    dtype = torch.get_autocast_dtype(kind)
    return tuple(t if t is None or t.dtype == torch.float64 else t.to(dtype) for t in tensors)


def _plain(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.conv2d(upsample_nearest(x), weight, bias, padding=weight.shape[-1] // 2)


def _phases(x: Tensor, weight: Tensor, bias: Tensor | None, native: bool = False) -> Tensor:
    return _transposed_conv(*_autocast(x, phase_kernel(weight), bias), weight.shape[-1] // 2, native)


def _triton(x: Tensor, weight: Tensor, bias: Tensor | None, nine: bool = False) -> Tensor:
    if not takes(x):
        return _phases(x, weight, bias)
    from ofhkit.ops import triton_conv  # imports Triton, which is not everywhere

    x, weight, bias = _autocast(x, weight, bias)
    return triton_conv.upsample_conv2d(x, weight, bias, nine and weight.shape[-1] == 3)


_WAYS: dict[str, Callable[[Tensor, Tensor, Tensor | None], Tensor]] = {
    "auto": partial(_phases, native=True),
    "enlarged": _plain,
    "nine": partial(_triton, nine=True),
    "phase": _phases,
    "plain": _plain,
    "triton": _triton,
}


def _transposed_conv(x: Tensor, kernel: Tensor, bias: Tensor | None, padding: int, native: bool) -> Tensor:
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, kernel, bias)):
        return _TransposedConv.apply(x, kernel, bias, padding, native)
    return F.conv_transpose2d(x, kernel, bias, stride=2, padding=padding)


class _TransposedConv(torch.autograd.Function):
    """``conv_transpose2d`` whose backward avoids oneDNN's slow deconvolution gradients.

    The data gradient is a strided convolution, the kernel gradient that of the same convolution with the roles of input
    and output gradient exchanged, the bias gradient a plain sum. All three are differentiable again. Where the forward
    pass ran in C so do the first two, unless a graph of them is wanted.
    """

    @staticmethod
    def forward(ctx, x: Tensor, kernel: Tensor, bias: Tensor | None, padding: int, native: bool) -> Tensor:
        ctx.save_for_backward(x, kernel)
        ctx.padding = padding
        ctx.native = native and native_conv.suits(x, kernel, bias, transposed=True)
        if ctx.native:
            return native_conv.upsample_conv2d(x, native_conv.pack(kernel, transposed=True), bias, relu=False)
        return F.conv_transpose2d(x, kernel, bias, stride=2, padding=padding)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        x, kernel = ctx.saved_tensors
        need_x, need_kernel, need_bias, *_ = ctx.needs_input_grad
        grad_bias = grad.sum((0, 2, 3)) if need_bias else None
        if ctx.native and not torch.is_grad_enabled() and native_conv.readable(grad, kernel.shape[1]):
            grads = native_conv.upsample_conv2d_gradients(x, grad, kernel, need_x, need_kernel)
            return *grads, grad_bias, None, None
        pad = [ctx.padding] * 2
        grad_x = F.conv2d(grad, kernel, stride=2, padding=pad) if need_x else None
        grad_kernel = None
        if need_kernel:
            grad_kernel = torch.ops.aten.convolution_backward(
                x, grad, kernel, None, [2, 2], pad, [1, 1], False, [0, 0], 1, [False, True, False]
            )[1]
        return grad_x, grad_kernel, grad_bias, None, None


class UpsampleConv2d(nn.Conv2d):
    """Nearest x2, then a convolution that keeps the size: :func:`upsample_conv2d` with the keys of ``nn.Conv2d``.

    Shape:
        (N, in_channels, H, W) -> (N, out_channels, 2H, 2W), any range.

    >>> UpsampleConv2d(2, 3, 3)(torch.rand(1, 2, 8, 8)).shape
    torch.Size([1, 3, 16, 16])
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, bias: bool = True, implementation: str = "auto"
    ) -> None:
        check_implementation(implementation)
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=bias)
        self.implementation = implementation

    def forward(self, x: Tensor) -> Tensor:
        """Upsample and convolve."""
        return upsample_conv2d(x, self.weight, self.bias, self.implementation)

    def extra_repr(self) -> str:
        """Name the implementation where it is not the default."""
        chosen = "" if self.implementation == "auto" else f", implementation={self.implementation!r}"
        return super().extra_repr() + chosen
