"""The adversarial game: what the discriminator minimises and what it asks of the upsampler.

Reference: arXiv 1811.04645, Equations 3 and 4, with the non-saturating form for the upsampler.

Differs from the paper: written as binary cross-entropy on logits, which gives the same values without log(0); Eq. 4
writes U(l) where U's input is l', which is taken here; alpha is not printed there; the label of real faces may be
smoothed.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.errors import OfhkitError
from ofhkit.models.losses.terms import LossTerm
from ofhkit.registry import LOSSES


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, label_smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return -log D(h) and -log(1 - D(h')), each a mean over the batch.

    Args:
        label_smoothing: the real faces' label is 1 less this (one-sided: T. Salimans et al., "Improved techniques for
            training GANs", NeurIPS 2016, Section 3.4).

    >>> import torch
    >>> [round(v.item(), 4) for v in discriminator_loss(torch.zeros(2, 1), torch.zeros(2, 1))]
    [0.6931, 0.6931]
    """
    real = F.softplus(-real_logits) + label_smoothing * real_logits  # = -(1 - s) log D - s log(1 - D)
    return real.mean(), F.softplus(fake_logits).mean()


@LOSSES.register_module()
class AdversarialLoss(LossTerm):
    """-log D(h'), a mean over the batch. The default weight is alpha, not printed in the paper.

    Chosen on validation faces in [0, 1]: with 0.001 a short training (3,600 faces) ends 1 dB below bicubic, with
    0.0001 level with it.

    Args:
        weight: factor in the upsampler's loss.
        label_smoothing: what the discriminator's label of a real face lacks to 1, from 0 to below 1.
        r1: gamma of the penalty on the discriminator's slope at real faces (L. Mescheder et al., "Which training
            methods for GANs do actually converge?", ICML 2018, Equation 9); 0: none.

    Raises:
        OfhkitError: the smoothing or gamma is out of its range.
    """

    def __init__(self, weight: float = 0.00003, label_smoothing: float = 0.0, r1: float = 0.0):
        super().__init__(weight)
        if not (0 <= label_smoothing < 1 and r1 >= 0):
            raise OfhkitError(
                f"{type(self).__name__}: label_smoothing is from 0 to below 1 and r1 at least 0, got {label_smoothing} "
                f"and {r1}"
            )
        self.label_smoothing, self.r1 = label_smoothing, r1

    def forward(self, fake_logits: Tensor) -> Tensor:
        return F.softplus(-fake_logits).mean()

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> tuple[Tensor, Tensor]:
        """The other side: the discriminator's loss on real and on fake faces."""
        return discriminator_loss(real_logits, fake_logits, self.label_smoothing)

    def slope(self, real_logits: Tensor, hr: Tensor) -> Tensor:
        """gamma/2 times the squared norm of the logits' gradient by the real faces, a mean over the batch."""
        (gradient,) = torch.autograd.grad(real_logits.sum(), hr, create_graph=True)
        return self.r1 / 2 * gradient.square().sum((1, 2, 3)).mean()


@LOSSES.register_module()
class HingeLoss(AdversarialLoss):
    """-D(h'), a mean over the batch; the discriminator stops at a margin of 1. Not in the paper.

    Reference: J. H. Lim, J. C. Ye, "Geometric GAN", arXiv 1705.02894, 2017.
    """

    def __init__(self, weight: float = 0.00003, r1: float = 0.0):
        super().__init__(weight, r1=r1)

    def forward(self, fake_logits: Tensor) -> Tensor:
        return -fake_logits.mean()

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> tuple[Tensor, Tensor]:
        return F.relu(1 - real_logits).mean(), F.relu(1 + fake_logits).mean()


@LOSSES.register_module()
class RelativisticLoss(AdversarialLoss):
    """How much more real the faces look than true ones do on average, from both sides. Not in the paper.

    Reference: A. Jolicoeur-Martineau, "The relativistic discriminator", ICLR 2019, the average form (RaSGAN).
    """

    def __init__(self, weight: float = 0.00003, r1: float = 0.0):
        super().__init__(weight, r1=r1)

    def forward(self, fake_logits: Tensor, real_logits: Tensor) -> Tensor:  # type: ignore[override]  # names its needs
        return sum(self.discriminator(fake_logits, real_logits))

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> tuple[Tensor, Tensor]:
        real, fake = real_logits - fake_logits.mean(), fake_logits - real_logits.mean()
        return F.softplus(-real).mean(), F.softplus(fake).mean()


def gradient_share(part: Tensor, rest: Tensor, parameters: Iterable[nn.Parameter]) -> Tensor:
    """Norm of one loss's gradient as a share of the sum of both norms, 0 to 1; the graph can be used again.

    >>> w = nn.Parameter(torch.ones(()))
    >>> gradient_share(w * 1, w * 3, [w]).item()
    0.25
    """
    trained = [p for p in parameters if p.requires_grad]

    def norm(loss: Tensor) -> Tensor:
        gradients = torch.autograd.grad(loss, trained, retain_graph=True, allow_unused=True)
        return torch.stack([g.detach().float().norm() for g in gradients if g is not None]).norm()

    ours, theirs = norm(part), norm(rest)
    return ours / (ours + theirs).clamp(min=torch.finfo(torch.float32).tiny)


def who_moves(real_loss: float, fake_loss: float, margin: float = 0.3) -> tuple[bool, bool]:
    """URDGN's rule: a discriminator that is winning waits, a generator that is winning waits; never both.

    Reference: the authors' published code of X. Yu, F. Porikli, "Ultra-resolving face images by discriminative
    generative networks", ECCV 2016 (the paper does not print the rule).

    Args:
        real_loss, fake_loss: the discriminator's binary cross-entropy on each half, natural logarithm.
        margin: the discriminator waits if one of its losses is below it, the generator if one is above 1 - margin.

    Returns:
        Whether to update the discriminator, and whether to update the generator.

    >>> who_moves(real_loss=0.1, fake_loss=0.5), who_moves(0.1, 0.9)
    ((False, True), (True, True))
    """
    update_d = min(real_loss, fake_loss) >= margin
    update_g = max(real_loss, fake_loss) <= 1 - margin
    return (update_d, update_g) if update_d or update_g else (True, True)
