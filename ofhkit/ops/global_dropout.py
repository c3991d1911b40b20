"""Dropout whose choices belong to the position in the global batch, however many processes share it."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn


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
