"""The moving average of a network's weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.hooks import Hook
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ofhkit.registry import HOOKS


@HOOKS.register_module()
class AverageWeights(Hook):
    r"""Follow a network with an exponential moving average; validate and deliver the average.

    At update t the average keeps :math:`\min(d, (1 + t) / (10 + t))` of itself: the first weights are soon forgotten.
    BatchNorm's running statistics are averaged like weights.

    Args:
        network: whose weights.
        decay: d, between 0 and 1.

    Reference: B. Polyak and A. Juditsky, Acceleration of stochastic approximation by averaging, 1992.
    """

    priority = "NORMAL"  # before the hooks that look at the network or save it

    def __init__(self, network: nn.Module, decay: float = 0.999):
        self.network, self.decay, self.updates = network, decay, 0
        self.average = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        now = self.network.state_dict()
        floating = [name for name, value in now.items() if value.is_floating_point()]
        keep = min(self.decay, (1 + self.updates) / (10 + self.updates))
        get_ema_multi_avg_fn(keep)([self.average[n] for n in floating], [now[n] for n in floating], self.updates)
        self.average |= {name: value.clone() for name, value in now.items() if not value.is_floating_point()}
        self.updates += 1

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """The network with averaged weights, for as long as the block lasts."""
        own = copy.deepcopy(self.network.state_dict())
        self.network.load_state_dict(self.average)
        try:
            yield
        finally:
            self.network.load_state_dict(own)

    def after_train(self, runner) -> None:
        self.network.load_state_dict(self.average)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint["average"] = {"weights": self.average, "updates": self.updates}

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        saved = checkpoint["average"]
        self.average, self.updates = (
            {n: v.to(self.average[n].device) for n, v in saved["weights"].items()},
            saved["updates"],
        )
