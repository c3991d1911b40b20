"""Batch normalisation folded into the convolution before it, in float64."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ofhkit.errors import OfhkitError
from ofhkit.ops.narrow_conv import NARROW
from ofhkit.ops.onednn import FastConv2d, NarrowConv2d
from ofhkit.ops.phases import phase_kernel, upsample_nearest
from ofhkit.ops.upsample_conv import UpsampleConv2d


def batch_norm_affine(norm: nn.BatchNorm2d | ChannelAffine) -> tuple[Tensor, Tensor]:
    """Return the scale and shift, float64 of shape (C,), that an evaluating normalisation applies.

    Raises:
        OfhkitError: The layer keeps no running statistics, so it is not an affine map.

    >>> [t.tolist() for t in batch_norm_affine(nn.BatchNorm2d(1, eps=0).eval())]
    [[1.0], [0.0]]
    """
    if isinstance(norm, ChannelAffine):
        return norm.scale.double().flatten(), norm.shift.double().flatten()
    if norm.running_mean is None:
        raise OfhkitError("A BatchNorm2d without running statistics cannot be folded; use track_running_stats=True.")
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.detach().double()
    shift = -norm.running_mean.double() * scale
    if norm.bias is not None:
        shift = shift + norm.bias.detach().double()
    return scale, shift


def fold(
    conv: nn.Conv2d,
    norm: nn.BatchNorm2d | ChannelAffine | None = None,
    activation: str | None = None,
    shift: bool = True,
) -> nn.Module:
    """Return the fast form of ``activation(norm(conv(x)))``, or of ``activation(norm(conv(x) + skip))`` given a skip.

    For the second, the skip must carry the normalisation's scale as well: :func:`fold_skip`.
    A batch normalisation that is separated from the convolution by an activation must not be passed here.

    Args:
        conv: a convolution with square kernel and one group, or :class:`ofhkit.ops.UpsampleConv2d`.
        norm: the normalisation directly behind it.
        activation: ``None``, ``'relu'`` or ``'sigmoid'``.
        shift: whether the normalisation's shift is added here.

    Raises:
        OfhkitError: The convolution has groups, dilation or padding that the fast form does not know.
    """
    square = len({*conv.kernel_size}) == len({*conv.stride}) == 1
    if not square or conv.groups != 1 or {*conv.dilation} != {1} or conv.padding_mode != "zeros":
        raise OfhkitError(f"{conv} has no fast form: it must be square, with one group, no dilation and zero padding.")
    weight = conv.weight.detach().double()
    bias = weight.new_zeros(weight.shape[0]) if conv.bias is None else conv.bias.detach().double()
    if norm is not None:
        scale, offset = batch_norm_affine(norm)
        weight, bias = weight * scale.view(-1, 1, 1, 1), bias * scale + (offset if shift else 0)
    dtype = conv.weight.dtype
    if isinstance(conv, UpsampleConv2d):
        if conv.kernel_size[0] == 1:
            return nn.Sequential(FastConv2d(weight.to(dtype), bias.to(dtype), activation=activation), _Upsample())
        return FastConv2d(
            phase_kernel(weight).to(dtype), bias.to(dtype), 2, conv.padding[0], activation, transposed=True
        )
    padding = int(conv.padding[0])
    if len(weight) <= NARROW and conv.stride[0] == 1:
        return NarrowConv2d(weight.to(dtype), bias.to(dtype), padding, activation)
    return FastConv2d(weight.to(dtype), bias.to(dtype), conv.stride[0], padding, activation)


def fold_skip(skip: nn.Module, norm: nn.BatchNorm2d) -> nn.Module:
    """Return ``skip`` (an identity or a convolution) times the scale of ``norm``; the shift belongs to the main branch.

    >>> norm = nn.BatchNorm2d(1, eps=0).eval()
    >>> fold_skip(nn.Identity(), norm)(torch.full((1, 1, 1, 1), 3.)).item()
    3.0
    """
    if isinstance(skip, nn.Conv2d):
        return fold(skip, norm, shift=False)
    if not isinstance(skip, nn.Identity):
        raise OfhkitError(f"A skip must be nn.Identity or nn.Conv2d to be folded, not {type(skip).__name__}.")
    scale, _ = batch_norm_affine(norm)
    return ChannelAffine(scale.to(norm.running_mean.dtype))


class ChannelAffine(nn.Module):
    """``activation(scale * x + shift)`` channel by channel: what is left of a normalisation that nothing can absorb.

    Shape:
        (N, C, H, W) -> (N, C, H, W)
    """

    def __init__(self, scale: Tensor, shift: Tensor | None = None, relu: bool = False) -> None:
        super().__init__()
        self.register_buffer("scale", scale.view(-1, 1, 1))
        self.register_buffer("shift", None if shift is None else shift.view(-1, 1, 1))
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """Scale, shift, activate."""
        y = x * self.scale if self.shift is None else torch.addcmul(self.shift, x, self.scale)
        return y.relu_() if self.relu else y


def affine(norm: nn.BatchNorm2d, relu: bool = False) -> ChannelAffine:
    """Return the evaluating ``norm`` (and a ReLU) as one channel-wise map."""
    dtype = norm.running_mean.dtype
    return ChannelAffine(*(t.to(dtype) for t in batch_norm_affine(norm)), relu)


class _Upsample(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return upsample_nearest(x)
