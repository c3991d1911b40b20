"""Switches that change how fast a step is computed, not what: compilation and TF32."""

from __future__ import annotations

import torch
from torch import nn

from ofhkit.models.fitted import Fitted
from ofhkit.ops import GlobalDropout, SynchronisedBatchNorm2d

# Compiled, the first two draw other numbers and lose the others' gradients, and the third takes an inexact form.
_EAGER = (GlobalDropout, SynchronisedBatchNorm2d, Fitted)
_NETWORKS = ("network", "inpainter", "upsampler", "discriminator", "landmark_prior")


def set_tf32(allowed: bool | None) -> None:
    """Allow or forbid TF32 in matrix products and convolutions on CUDA; None leaves both as torch has them."""
    if allowed is not None:
        torch.backends.cuda.matmul.allow_tf32 = allowed
        torch.backends.cudnn.allow_tf32 = allowed


def compile_networks(model: nn.Module) -> nn.Module:
    """Compile each network inside ``model`` in place (names in checkpoints stay); returns ``model``.

    Not ``train_step`` as a whole: it would break at every optimizer. Compilation happens at the first call. Dropout,
    batch normalisation over several processes, and what is fitted in one pass stay as they are.

    >>> compile_networks(nn.Sequential())
    Sequential()
    """
    for name in _NETWORKS:
        network = getattr(model, name, None)
        if isinstance(network, nn.Module):
            for layer in network.modules():
                if isinstance(layer, _EAGER):
                    layer.forward = torch.compiler.disable(layer.forward)
            network.compile()
    return model
