"""BatchNorm on its running statistics for the last part of a short training."""

from __future__ import annotations

from mmengine.hooks import Hook
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ofhkit.registry import HOOKS


@HOOKS.register_module()
class FreezeNorm(Hook):
    """From iteration ``begin`` on, normalise with running instead of batch statistics; weights go on learning.

    With few images a batch, batch statistics are noise on every colour that the network must reproduce.

    Args:
        network: whose BatchNorm layers.
        begin: iteration.
    """

    priority = "HIGH"

    def __init__(self, network: nn.Module, begin: int):
        self.layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
        self.begin = begin

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if batch_idx >= self.begin:
            for layer in self.layers:
                layer.eval()
