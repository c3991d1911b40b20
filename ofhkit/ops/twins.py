"""The fast twins of the networks' blocks, for inference: built from a block's layers, sharing nothing with them.

Batch normalisation is folded into the convolution before it, in float64.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.errors import OfhkitError
from ofhkit.functional.resample import add_enlargement, upsample_bicubic
from ofhkit.ops.autotune import fastest, key_of, may_measure, takes
from ofhkit.ops.layouts import NARROW, phase_kernel
from ofhkit.ops.onednn import FastConv2d, NarrowConv2d
from ofhkit.ops.upsample_conv import UpsampleConv2d


def batch_norm_affine(norm: nn.BatchNorm2d | ChannelAffine) -> tuple[Tensor, Tensor]:
    """Return the scale and shift, float64 of shape (C,), that an evaluating normalisation applies."""
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
            return nn.Sequential(
                FastConv2d(weight.to(dtype), bias.to(dtype), activation=activation), nn.Upsample(scale_factor=2.0)
            )
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
    """``activation(scale * x + shift)`` channel by channel: what is left of a normalisation that nothing can absorb."""

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
    return ChannelAffine(*(t.to(norm.running_mean.dtype) for t in batch_norm_affine(norm)), relu)


class FusedResidualBlock(nn.Module):
    """Conv-BN-ReLU-Conv-BN-ReLU-Conv plus a skip, BN, ReLU, in three convolutions.

    The last normalisation's scale goes into both branches. Where the first convolution makes a x2, so does the skip.

    Args:
        block: with ``conv1, bn1, conv2, bn2, conv3, bn3`` and ``skip``.
    """

    def __init__(self, block: nn.Module):
        super().__init__()
        self.conv1 = fold(block.conv1, block.bn1, "relu")
        self.conv2 = fold(block.conv2, block.bn2, "relu")
        self.conv3 = fold(block.conv3, block.bn3, "relu")
        self.skip = fold_skip(block.skip, block.bn3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(self.conv2(self.conv1(x)), self.skip(x))


class FusedDecoderBlock(nn.Sequential):
    """Nearest x2, BN, ReLU, Conv, BN, ReLU: the first normalisation has no convolution before it to go into.

    On CUDA it runs in the fastest of the ways that agree: by torch, or by Triton with the ReLU, or with the x2 as well.

    Args:
        block: with ``bn1, conv, bn2``.
    """

    def __init__(self, block: nn.Module):
        super().__init__(affine(block.bn1, relu=True), fold(block.conv, block.bn2, "relu"))

    def forward(self, x: Tensor) -> Tensor:
        if may_measure(x) and takes(x) and isinstance(self[1], FastConv2d):
            return fastest(("affine", self[1].weight.shape, *key_of(x)), self.candidates(x))
        return super().forward(x)

    def candidates(self, x: Tensor) -> dict[str, Callable[[], Tensor]]:
        """Return the ways to run it on CUDA; the public operators come first."""
        from ofhkit.ops.triton_norm import affine_relu_upsample  # imports Triton, which is not everywhere

        norm, conv = self
        numbers = norm.scale.flatten(), norm.shift.flatten(), norm.relu
        calls = {"torch": lambda: conv.forward_torch(norm(x))}
        calls["enlarged"] = lambda: conv.forward_enlarged(affine_relu_upsample(x, *numbers, True))
        calls["triton"] = lambda: conv.forward_triton(affine_relu_upsample(x, *numbers, False))
        if conv.weight.shape[-1] == 4:
            calls["nine"] = lambda: conv.forward_triton(affine_relu_upsample(x, *numbers, False), nine=True)
        return calls


class FusedGatedBlock(nn.Module):
    """``x + gate * conv(relu(conv(x)))``, held within a limit, whose first convolution takes its ReLU along.

    Args:
        block: with ``conv1, conv2``, the linear layer ``gate`` that reads the mean of ``x``, and ``limit``, the largest
            size of a result.
    """

    def __init__(self, block: nn.Module):
        super().__init__()
        self.conv1 = fold(block.conv1, activation="relu")
        self.conv2 = fold(block.conv2)
        self.limit = block.limit
        self.register_buffer("weight", block.gate.weight.detach().clone())
        self.register_buffer("bias", block.gate.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(F.linear(x.mean((2, 3)), self.weight, self.bias))
        y = torch.addcmul(x, self.conv2(self.conv1(x)), gate[:, :, None, None])
        return y.clamp_(-self.limit, self.limit)


class FusedTrunk(nn.Module):
    """A trunk of gated blocks and a sub-pixel ladder; convolutions take bias and ReLU along, and ReLU and x2 commute.

    Args:
        network: with ``first, position, blocks, ladder, last`` and ``scale``.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.scale = network.scale
        self.first = fold(network.first)
        self.register_buffer("position", network.position.detach().clone())
        self.blocks = nn.Sequential(*(FusedGatedBlock(block) for block in network.blocks))
        self.ladder = nn.ModuleList(fold(rung, activation="relu") for rung in network.ladder)
        self.last = fold(network.last)

    def forward(self, completed: Tensor, mask: Tensor) -> Tensor:
        x = self.blocks(self.first(torch.cat((2 * completed - 1, mask), 1)) + self.position)
        for rung in self.ladder:
            x = F.pixel_shuffle(rung(x), 2)
        return upsample_bicubic(completed, self.scale) + self.last(x)


class WithMask(nn.Module):
    """Layers that read a face, or a face and its mask as a fourth channel."""

    def __init__(self, layers: nn.Module, mask_channel: bool):
        super().__init__()
        self.mask_channel = mask_channel
        self.layers = layers

    def forward(self, lr: Tensor, mask: Tensor) -> Tensor:
        return self.layers(torch.cat((lr, mask), dim=1) if self.mask_channel else lr)


class WithEnlargement(nn.Module):
    """A network that says what the bicubic enlargement of its input misses."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, lr: Tensor) -> Tensor:
        return add_enlargement(self.network(lr), lr)


def signed_range() -> tuple[ChannelAffine, ChannelAffine]:
    """Return the maps from [0, 1] to [-1, 1] and back; :func:`fold` takes the second for a normalisation."""
    one, half = torch.ones(1), torch.full((1,), 0.5)
    return ChannelAffine(2 * one, -one), ChannelAffine(half, half)
