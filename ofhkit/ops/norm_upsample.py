"""Nearest x2, BatchNorm and ReLU, then the convolutions that read the result: OFHNet's step from one size to the next.

On a CPU every layer runs for itself on the small map. On CUDA they may run together, in the way that is the fastest
there: the small map normalised and activated by one Triton kernel and read by another that makes the x2, or one kernel
that normalises, activates and enlarges before torch's convolution.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofhkit.ops.autotune import choose_way, key_of, may_measure
from ofhkit.ops.batch_norm import UpsampledBatchNorm2d
from ofhkit.ops.phases import upsample_nearest
from ofhkit.ops.upsample_conv import UpsampleConv2d, upsample_conv2d, ways


def norm_relu_upsample(x: Tensor, norm: nn.Module, *readers: nn.Module) -> tuple[Tensor, ...]:
    """Return ``reader(z)`` for each reader of ``z = relu(norm(nearest_x2(x)))``, which need not exist in memory.

    Args:
        norm: :class:`ofhkit.ops.UpsampledBatchNorm2d`, or what stands for it over several processes.
        readers: :class:`ofhkit.ops.UpsampleConv2d`, first; then 1x1 convolutions or ``nn.Identity``.

    Shape:
        ``x`` (N, C, H, W) -> (N, O, 2H, 2W) for each reader, any range.

    >>> conv, norm, skip = UpsampleConv2d(4, 6, 3), UpsampledBatchNorm2d(4), nn.Identity()
    >>> [tuple(y.shape) for y in norm_relu_upsample(torch.rand(2, 4, 5, 5), norm, conv, skip)]
    [(2, 6, 10, 10), (2, 4, 10, 10)]
    """
    way = _way(x, norm, readers)
    if way is not None:
        return _together(x, norm, readers, way)
    z = F.relu(norm(x), inplace=True)
    return tuple(y(z) if isinstance(y, UpsampleConv2d) else upsample_nearest(y(z)) for y in readers)


def _way(x: Tensor, norm: nn.Module, readers: tuple[nn.Module, ...]) -> str | None:
    """Return the way in which the layers run together; None where each runs for itself."""
    layers = norm, *readers
    names = {layer.implementation for layer in layers if hasattr(layer, "implementation")}
    if type(norm) is not UpsampledBatchNorm2d or len(names) > 1 or any(hooked(layer) for layer in layers):
        return None
    (name,) = names
    if name != "auto":
        return name if name in ("enlarged", "nine", "triton") else None
    if not may_measure(x):
        return None
    given = [x, *(p for layer in layers for p in layer.parameters())]
    key = "norm", *(p.shape for p in given[1:]), norm.training, *key_of(x)
    statistics = [buffer.clone() for buffer in norm.buffers()] if norm.training else []
    chosen = choose_way(key, ways(x), lambda way: _together(x, norm, readers, way), given)
    with torch.no_grad():  # a trial is no step
        for buffer, before in zip(norm.buffers(), statistics):
            buffer.copy_(before)
    return chosen


def _together(x: Tensor, norm: UpsampledBatchNorm2d, readers: tuple[nn.Module, ...], way: str) -> tuple[Tensor, ...]:
    z = norm.normalise(x, way, relu=True, upsample=way == "enlarged")
    return tuple(_read(reader, z, way) for reader in readers)


def _read(reader: nn.Module, z: Tensor, way: str) -> Tensor:
    if isinstance(reader, UpsampleConv2d):
        if way == "enlarged":
            return F.conv2d(z, reader.weight, reader.bias, padding=reader.padding)
        return upsample_conv2d(z, reader.weight, reader.bias, way)
    return reader(z) if way == "enlarged" else upsample_nearest(reader(z))


def hooked(module: nn.Module) -> bool:
    """Whether someone waits for this layer's own call."""
    kinds = module._forward_pre_hooks, module._forward_hooks, module._backward_pre_hooks, module._backward_hooks
    return any(kinds)
