"""How the upsampler is trained: alternating with a discriminator, held to the true face's structure.

Reference: arXiv 1811.04645, Section 3.5 and Equation 6: R2 + alpha * adversarial + beta * structure.

Differs from the paper: each part may be left out; the upsampler and the discriminator learn from one forward pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from ofhkit.models.hallucinators.base import BaseHallucinator, freeze
from ofhkit.models.losses.adversarial import AdversarialLoss, gradient_share
from ofhkit.registry import DISCRIMINATORS, HALLUCINATORS, LANDMARK_PRIORS, LOSSES

_SHARE_INTERVAL = 50  # steps between two measurements of the adversary's share, which costs two backward passes


@HALLUCINATORS.register_module()
class FaceHallucinator(BaseHallucinator):
    """The pipeline with all that trains its upsampler; the inpainter and the landmark network stay frozen.

    Without a discriminator and a landmark prior it is plain regression (FSRCNN, VDSR); with both it is OFHNet.

    Args:
        inpainter: component of role inpainter, or its configuration; trained before, frozen here.
        upsampler: component of role upsampler; what this step trains.
        losses: name -> loss term; the total is the sum of weight * term.
        discriminator: component of role discriminator, trained in turn with the upsampler; or None.
        landmark_prior: component of role landmark_prior, frozen; or None.
        balance: decides, from the discriminator's two losses, who is updated (URDGN's rule); None updates both.
    """

    def __init__(
        self,
        inpainter: nn.Module | dict,
        upsampler: nn.Module | dict,
        losses: Mapping[str, Any] | None = None,
        discriminator: nn.Module | dict | None = None,
        landmark_prior: nn.Module | dict | None = None,
        balance: Any = None,
        data_preprocessor: Any = None,
    ):
        super().__init__(inpainter, upsampler, data_preprocessor)
        self.discriminator: Any = None if discriminator is None else DISCRIMINATORS.build(discriminator)
        self.landmark_prior = None if landmark_prior is None else freeze(LANDMARK_PRIORS.build(landmark_prior))
        self.losses = nn.ModuleDict({name: LOSSES.build(term) for name, term in (losses or {}).items()})
        self.balance: Any = None if balance is None else LOSSES.build(balance)
        self._adversarial = next((n for n, term in self.losses.items() if isinstance(term, AdversarialLoss)), None)
        self._steps = 0  # of this process: when to measure, no result depends on it
        self.true_landmarks: nn.Module | None = None  # (index, mirrored) -> what the prior says of hr, where known
        freeze(self.inpainter)

    def train(self, mode: bool = True) -> FaceHallucinator:
        """Switch the mode of what is trained; what is frozen stays in eval mode."""
        super().train(mode)
        self.inpainter.eval()
        if self.landmark_prior is not None:
            self.landmark_prior.eval()
        return self

    def train_step(self, data: dict, optim_wrapper: Mapping[str, OptimWrapper]) -> dict[str, Tensor]:
        """One alternation from one fake forward: D on (hr, sr), then the upsampler on the weighted losses."""
        batch = self.data_preprocessor(data, training=True)
        optim = optim_wrapper["upsampler"]
        with optim.optim_context(self.upsampler):
            with torch.no_grad():
                completed = self.complete(batch["lr"], batch["mask"])
            batch["sr"] = self.upsample(completed, batch["mask"])

        log: dict[str, Tensor] = {}
        update_upsampler = True
        if self.discriminator is not None:
            log, update_upsampler = self._update_discriminator(batch, optim_wrapper["discriminator"])
            self.discriminator.requires_grad_(False)  # its gradients are not wanted below
        if update_upsampler:
            with optim.optim_context(self.upsampler):
                if self.discriminator is not None:
                    batch["fake_logits"] = self.discriminator(batch["sr"])
                if self.true_landmarks is not None:
                    batch["hr_landmarks"] = self.true_landmarks(batch["index"], batch["mirrored"])
                available = {**batch, "landmark_prior": self.landmark_prior}
                terms = {name: term.evaluate(available) for name, term in self.losses.items()}
                total = sum(self.losses[name].weight * value for name, value in terms.items())
            if self._adversarial is not None and self._steps % _SHARE_INTERVAL == 0:
                part = self.losses[self._adversarial].weight * terms[self._adversarial]
                log["adversary_share"] = gradient_share(part, total - part, self.upsampler.parameters())
            optim.update_params(total)
            log |= {**terms, "total": total}
        if self.discriminator is not None:
            self.discriminator.requires_grad_(True)
        self._steps += 1
        return {name: value.detach() for name, value in log.items()}

    def _update_discriminator(self, batch: dict, optim: OptimWrapper) -> tuple[dict[str, Tensor], bool]:
        """Show it real and fake faces; returns its losses and whether the upsampler's turn follows."""
        with optim.optim_context(self.discriminator):
            real_logits, fake_logits = self.discriminator(batch["hr"]), self.discriminator(batch["sr"].detach())
            game = AdversarialLoss() if self._adversarial is None else self.losses[self._adversarial]
            real, fake = game.discriminator(real_logits, fake_logits)
        update_discriminator, update_upsampler = (True, True) if self.balance is None else self.balance(real, fake)
        if update_discriminator:
            optim.update_params(real + fake)
        right = {"d_real_right": (real_logits > 0).float().mean(), "d_fake_right": (fake_logits < 0).float().mean()}
        return {"d_real": real, "d_fake": fake, **right}, update_upsampler
