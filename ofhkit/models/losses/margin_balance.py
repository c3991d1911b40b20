"""URDGN's rule for which player of the adversarial game moves.

Reference: the authors' published code of X. Yu, F. Porikli, "Ultra-resolving face images by discriminative
generative networks", ECCV 2016 (the paper does not print the rule).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MarginBalance"]


@dataclass(frozen=True)
class MarginBalance:
    """Let a discriminator that is winning wait, and a generator that is winning wait; never let both wait.

    Args:
        margin: the discriminator waits if its loss on real or on fake faces is below ``margin``, the generator if one
            of the two is above ``1 - margin``.
    """

    margin: float = 0.3

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
