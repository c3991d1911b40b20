"""Layers that see the whole batch of a job of several processes: batch normalisation and dropout, on any device.

torch's own synchronised batch normalisation wants CUDA.

One all-reduce of (count, sum, sum of squares) a layer, differentiable, so gradients are those of one process that sees
the global batch. Sums are taken of values less the running mean, which all processes share: no cancellation in float32
when a channel's mean is large beside its spread.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ofhkit.ops import UPSAMPLED_COPIES, UpsampledBatchNorm2d
from ofhkit.runtime.distributed import world_size


def synchronised_batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    momentum: float = 0.1,
    eps: float = 1e-5,
    copies: int = 1,
) -> Tensor:
    """Return ``F.batch_norm(x, …, training=True)`` with the statistics of all processes' ``x`` together.

    Args:
        copies: how often each value counts in the *unbiased* variance of the running statistics: 4 for a map that is
            upsampled afterwards (:class:`ofhkit.ops.UpsampledBatchNorm2d`).

    Shape:
        ``x`` (N, C, H, W), N may differ between processes -> (N, C, H, W), any range.

    >>> x = torch.rand(4, 3, 5, 5)
    >>> plain = nn.functional.batch_norm(x, None, None, training=True)
    >>> torch.allclose(synchronised_batch_norm(x, None, None), plain, atol=1e-5)
    True
    """
    own = x if x.dtype == torch.float64 else x.float()
    shift = own.new_zeros(own.shape[1]) if running_mean is None else running_mean.detach().clone()
    moved = own - shift[:, None, None]
    count = own.new_full((1,), own.numel() // own.shape[1])
    sums = torch.cat((count, moved.sum((0, 2, 3)), moved.square().sum((0, 2, 3))))
    if dist.is_available() and dist.is_initialized():
        sums = _AllReduce.apply(sums)
    number, total, squares = sums[0], *sums[1:].chunk(2)
    mean = total / number
    var = (squares / number - mean.square()).clamp_min(0)
    scale = (var + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    offset = -mean * scale if bias is None else bias - mean * scale
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            unbiased = var * (copies * number / (copies * number - 1))
            running_mean.lerp_((mean + shift).to(running_mean.dtype), momentum)
            running_var.lerp_(unbiased.to(running_var.dtype), momentum)
    return torch.addcmul(offset[:, None, None], moved, scale[:, None, None]).to(x.dtype)


class _AllReduce(torch.autograd.Function):
    """A sum over the processes, whose gradient is the sum of theirs (torch's own of this kind is deprecated)."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return _AllReduce.apply(grad)


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """``nn.BatchNorm2d`` (or :class:`ofhkit.ops.UpsampledBatchNorm2d`) over all processes' batches; same keys.

    >>> norm = SynchronisedBatchNorm2d.like(nn.BatchNorm2d(4))
    >>> norm(torch.rand(2, 4, 8, 8)).shape, list(norm.state_dict())[:2]
    (torch.Size([2, 4, 8, 8]), ['weight', 'bias'])
    """

    copies = 1

    @classmethod
    def like(cls, norm: nn.BatchNorm2d) -> SynchronisedBatchNorm2d:
        """Return a synchronised layer that shares the parameters and statistics of ``norm``."""
        layer = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        layer._parameters, layer._buffers, layer.training = norm._parameters, norm._buffers, norm.training
        layer.copies = UPSAMPLED_COPIES if isinstance(norm, UpsampledBatchNorm2d) else 1
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """Normalise with the statistics of all processes; in evaluation with the running ones."""
        if not self.training:
            return super().forward(x)
        self._check_input_dim(x)
        momentum = self.momentum
        if self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if momentum is None:  # cumulative average
                momentum = 1.0 / float(self.num_batches_tracked)
        return synchronised_batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, momentum or 0.0, self.eps, self.copies
        )


class GlobalDropout(nn.Dropout):
    """``nn.Dropout`` or ``nn.Dropout2d`` that draws for the whole global batch and uses its own share of the draws.

    Every process must hold the same number of images and the same state of torch's generator. On a CPU the choices are
    those of torch's own layers.

    Args:
        p: probability to drop.
        channelwise: drop whole channels, as ``nn.Dropout2d``.

    >>> torch.equal(GlobalDropout(0.5).eval()(torch.ones(2, 3)), torch.ones(2, 3))
    True
    """

    def __init__(self, p: float = 0.5, channelwise: bool = False):
        super().__init__(p)
        self.channelwise = channelwise

    @classmethod
    def like(cls, layer: nn.Dropout | nn.Dropout2d) -> GlobalDropout:
        """Return the same layer with global draws."""
        return cls(layer.p, isinstance(layer, nn.Dropout2d)).train(layer.training)

    def forward(self, x: Tensor) -> Tensor:
        """Drop and rescale in training; nothing in evaluation."""
        if not self.training or self.p == 0:
            return x
        together = dist.is_available() and dist.is_initialized()
        rank, world_size = (dist.get_rank(), dist.get_world_size()) if together else (0, 1)
        shape = (len(x) * world_size, *x.shape[1:2], *([1] * (x.ndim - 2) if self.channelwise else x.shape[2:]))
        keep = torch.empty(shape, dtype=x.dtype, device=x.device).bernoulli_(1 - self.p)
        if self.p < 1:
            keep /= 1 - self.p
        return x * keep[rank * len(x) : (rank + 1) * len(x)]


def convert_sync_layers(model: nn.Module) -> nn.Module:
    """Let the layers that depend on the whole batch see it: BatchNorm2d and dropout; returns ``model``."""
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if type(layer) in (nn.Dropout, nn.Dropout2d):
                setattr(parent, name, GlobalDropout.like(layer))
            elif isinstance(layer, nn.BatchNorm2d) and world_size() > 1:
                setattr(parent, name, SynchronisedBatchNorm2d.like(layer))
    return model
