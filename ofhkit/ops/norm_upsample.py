"""Nearest x2, BatchNorm and ReLU, then the convolutions that read the result: OFHNet's step from one size to the next.

On a CPU every layer runs for itself on the small map. On CUDA they may run together, in the way that is the fastest
there: the small map normalised and activated by one Triton kernel and read by another that makes the x2, or one kernel
that normalises, activates and enlarges before torch's convolution.

Nearest x2 repeats every value four times, so the small map can be normalised instead: batch mean, biased variance,
values and gradients are the same bits. Only the unbiased variance of the running statistics knows the number of values:
n/(n-1) becomes 4n/(4n-1).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofhkit.ops.autotune import choose_way, key_of, may_measure, takes
from ofhkit.ops.layouts import upsample_nearest
from ofhkit.ops.upsample_conv import UpsampleConv2d, check_implementation, upsample_conv2d, ways

UPSAMPLED_COPIES = 4  # of each value in a map upsampled twofold


def upsampled_batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    implementation: str = "auto",
    relu: bool = False,
    upsample: bool = False,
) -> Tensor:
    """Return the small map whose nearest x2 is ``F.batch_norm(upsample(x), ...)``; update the same running statistics.

    Arguments are those of :func:`torch.nn.functional.batch_norm`. ``implementation='plain'`` really normalises the
    upsampled map and picks every second pixel; the others never build it. ``'triton'``, ``'nine'`` and ``'enlarged'``
    are one Triton kernel behind the sums, with the ReLU and the x2 where they are asked for.

    Args:
        relu: also apply a ReLU.
        upsample: return the upsampled map itself.

    Shape:
        ``x`` (N, C, H, W), statistics, ``weight`` and ``bias`` (C,) -> (N, C, H, W), upsampled (N, C, 2H, 2W).

    Raises:
        OfhkitError: The implementation is unknown.

    >>> x = torch.rand(2, 3, 4, 4)
    >>> plain = F.batch_norm(upsample_nearest(x), None, None, training=True)
    >>> torch.allclose(upsample_nearest(upsampled_batch_norm(x, None, None, training=True)), plain, atol=1e-5)
    True
    """
    check_implementation(implementation)
    arguments = running_mean, running_var, weight, bias, training, momentum, eps
    single = training and x.numel() <= x.shape[1]  # one value a channel: only its four copies have a variance
    if implementation in ("enlarged", "nine", "triton") and takes(x) and not single:
        return _triton(x, *arguments, relu, upsample)
    if implementation == "plain" or single:
        y = F.batch_norm(upsample_nearest(x), *arguments)
        y = y if upsample else y[..., ::2, ::2]
    else:
        y = _torch(x, *arguments)
        y = upsample_nearest(y) if upsample else y
    return F.relu(y, inplace=True) if relu else y


def _torch(
    x: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None, bias: Tensor | None,
    training: bool, momentum: float, eps: float,
) -> Tensor:  # fmt: skip
    if not training or running_var is None:
        return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    update = torch.zeros_like(running_var)  # receives momentum * unbiased variance; autograd keeps it, so it is private
    y = F.batch_norm(x, running_mean, update, weight, bias, True, momentum, eps)
    count = x.numel() // max(x.shape[1], 1)
    with torch.no_grad():
        unbiased = UPSAMPLED_COPIES * (count - 1) / (UPSAMPLED_COPIES * count - 1)
        running_var.copy_(running_var * (1 - momentum) + update * unbiased)
    return y


def _triton(
    x: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None, bias: Tensor | None,
    training: bool, momentum: float, eps: float, relu: bool, upsample: bool,
) -> Tensor:  # fmt: skip
    from ofhkit.ops import triton_norm  # imports Triton, which is not everywhere

    channels = x.shape[1]
    weight = torch.ones(channels, device=x.device) if weight is None else weight
    bias = torch.zeros(channels, device=x.device) if bias is None else bias
    if not training:
        scale = weight * (running_var + eps).rsqrt()
        return triton_norm.affine_relu_upsample(x, scale, bias - running_mean * scale, relu, upsample)
    y, mean, var = triton_norm.batch_norm_relu_upsample(x, weight, bias, eps, relu, upsample)
    if running_var is not None:
        copies = UPSAMPLED_COPIES * (x.numel() // channels)
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((var * (copies / (copies - 1))).to(running_var.dtype), momentum)
    return y


class UpsampledBatchNorm2d(nn.BatchNorm2d):
    """``nn.BatchNorm2d`` of the nearest-x2 map, to be applied *before* the upsampling; same keys, same statistics.

    ``upsample(UpsampledBatchNorm2d(C)(x))`` equals ``nn.BatchNorm2d(C)(upsample(x))`` in outputs, gradients and running
    statistics, in training and in evaluation. A ReLU commutes with the upsampling too, so a block may hand on the small
    map and leave the upsampling to the next layer (:class:`ofhkit.ops.UpsampleConv2d`).

    Shape:
        (N, num_features, H, W) -> (N, num_features, H, W), any range.

    >>> UpsampledBatchNorm2d(4)(torch.rand(2, 4, 8, 8)).shape
    torch.Size([2, 4, 8, 8])
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        implementation: str = "auto",
    ) -> None:
        check_implementation(implementation)
        super().__init__(num_features, eps, momentum, affine, track_running_stats)
        self.implementation = implementation

    def forward(self, x: Tensor) -> Tensor:
        """Normalise with the statistics of the upsampled map."""
        return self.normalise(x, self.implementation)

    def normalise(self, x: Tensor, implementation: str, relu: bool = False, upsample: bool = False) -> Tensor:
        """Normalise in the way named, with what follows: see :func:`upsampled_batch_norm`."""
        self._check_input_dim(x)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # cumulative average
                momentum = 1.0 / float(self.num_batches_tracked)
        tracked = not self.training or self.track_running_stats
        return upsampled_batch_norm(
            x,
            self.running_mean if tracked else None,
            self.running_var if tracked else None,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            momentum,
            self.eps,
            implementation,
            relu,
            upsample,
        )


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
