"""Batch normalisation of a nearest-upsampled map, applied before it is upsampled.

Nearest x2 repeats every value four times: the batch mean, the biased variance and therefore the normalised values and
all gradients are those of the small map, bit for bit after upsampling. Only the *unbiased* variance that goes into the
running statistics knows the number of values: n/(n-1) becomes 4n/(4n-1).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofhkit.ops.phases import upsample_nearest
from ofhkit.ops.triton_support import takes
from ofhkit.ops.upsample_conv import check_implementation

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
