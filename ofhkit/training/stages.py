"""The stages that optimise: landmark network, inpainter, parser, upsampler.

Reference: arXiv 1811.04645, Sections 3.4 and 3.5; Equations 1 (inpainter) and 6 (upsampler).

Differs from the paper: each part of Equation 6 may be left out; the upsampler and the discriminator learn from one
forward pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

from ofhkit.config.check import ROLE_OF_KEY
from ofhkit.errors import OfhkitError
from ofhkit.models.fitted import Fitted
from ofhkit.models.losses.adversarial import AdversarialLoss, gradient_share, who_moves
from ofhkit.registry import DISCRIMINATORS, HALLUCINATORS, LOSSES, PRIORS, STAGES
from ofhkit.runtime.distributed import average
from ofhkit.training.fitted import complete_crossed, cross_fit
from ofhkit.training.optim import check_training
from ofhkit.training.stage import Context, Stage, freeze
from ofhkit.training.true_landmarks import TRUE_LANDMARKS, true_landmarks, worth_a_table
from ofhkit.zoo.weights import load_strictly, load_weights

_SHARE_INTERVAL = 50  # steps between two measurements of the adversary's share, which costs two backward passes


class _OneNetwork(Stage):
    """A stage that trains one network alone with one loss; subclasses name the batch keys it reads and makes.

    Args:
        loss: a loss term over ``output`` and the batch.
        training: of :class:`Stage`.
    """

    inputs: ClassVar[tuple[str, ...]]
    output: ClassVar[str]
    default_loss: ClassVar[str]

    def __init__(self, iterations: int, loss: Mapping | None = None, **training: Any):
        super().__init__(iterations, **training)
        self.loss = dict(loss or {"type": self.default_loss})

    def spec(self, context: Context) -> dict[str, Any]:
        return {**super().spec(context), "loss": LOSSES.complete(self.loss)}

    def build(self, context: Context) -> None:
        setattr(self, self.trains, ROLE_OF_KEY[self.trains].build(context.model[self.trains]))
        self.term = LOSSES.build(self.loss)

    def step(self, batch: dict[str, Tensor], optim: OptimWrapper) -> dict[str, Tensor]:
        with optim.optim_context(self.network):
            value = self.term.evaluate({**batch, **self._output(batch)})
        optim.update_params(self.term.weight * value)
        return {"total": value.detach()}

    def predict(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.float() for name, value in self._output(batch).items()}

    def _output(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {self.output: self.network(*(batch[name] for name in self.inputs))}


@STAGES.register_module()
class InpainterStage(_OneNetwork):
    """Stage 1: the inpainter alone, in LR (Eq. 1)."""

    trains, metrics = "inpainter", (dict(type="LRPSNR"),)
    inputs, output, default_loss = ("lr", "mask"), "lr_filled", "CompletionLoss"


@STAGES.register_module()
class LandmarkStage(_OneNetwork):
    """Stage 0: the landmark network on labelled faces; needed only where a loss reads it and it is not pretrained."""

    trains, metrics = "landmark_prior", (dict(type="LandmarkError"),)
    inputs, output, default_loss = ("hr",), "predicted_landmarks", "LandmarkLoss"

    def needed(self, model: Mapping[str, Any]) -> bool:
        terms = [LOSSES.build(term) for term in (model.get("losses") or {}).values()]
        return any("landmark_prior" in term.needs() for term in terms) and super().needed(model)


@STAGES.register_module()
class ParserStage(_OneNetwork):
    """The parser on labelled faces: for measuring, no part of a pipeline."""

    trains, metrics = "parser", (dict(type="LabelIoU"),)
    inputs, output, default_loss = ("hr",), "parsing_logits", "ParsingLoss"


@STAGES.register_module()
class UpsamplerStage(Stage):
    """Stage 2: the upsampler, alternating with a discriminator, held to the true face's structure (Eq. 6).

    Without a discriminator and a landmark prior it is plain regression (FSRCNN, VDSR); with both it is OFHNet. The
    inpainter and the landmark network stay frozen.

    Args:
        discriminator_optimizer: defaults to ``optimizer``.
        margin: of URDGN's rule for who is updated (:func:`~ofhkit.models.losses.adversarial.who_moves`); None: both.
        lead: the discriminator waits while the mean of its two losses is below (0.69 is guessing); the upsampler, which
            has a true face to learn from as well, never does. Not in the papers. None: it never waits.
        cross_fit: complete each face, while learning, by an inpainter fitted to the faces of other folds, of so many
            (:mod:`ofhkit.training.fitted`); for inpainters that are fitted. 0: by the one that is delivered.
        training: of :class:`Stage`.
    """

    trains, needs, shared = "upsampler", ("inpainter", "landmark_prior"), False
    metrics = (dict(type="PSNR"), dict(type="SSIM"))

    def __init__(
        self,
        iterations: int,
        discriminator_optimizer: Mapping | None = None,
        margin: float | None = None,
        lead: float | None = None,
        cross_fit: int = 0,
        **training: Any,
    ):
        super().__init__(iterations, **training)
        self.discriminator_optimizer = discriminator_optimizer or self.optimizer
        self.margin, self.lead, self.folds = margin, lead, cross_fit
        if cross_fit != 0 and cross_fit < 2:
            raise OfhkitError(
                f"stage UpsamplerStage: cross_fit is 0 or at least 2 folds, got {cross_fit}", key="cross_fit"
            )
        check_training([self.discriminator_optimizer], None, iterations)
        for name, value in (("margin", margin), ("lead", lead)):
            if value is not None and not 0 <= value <= 1:
                raise OfhkitError(f"stage UpsamplerStage: {name} must lie between 0 and 1, got {value}", key=name)

    def spec(self, context: Context) -> dict[str, Any]:
        return {
            **super().spec(context),
            "model": context.model,
            "discriminator_optimizer": self.discriminator_optimizer,
            "margin": self.margin,
            "lead": self.lead,
            **({"cross_fit": self.folds} if self.folds else {}),
            "needs": {k: v for k, v in context.digests.items() if k in self.needs},
        }

    def build(self, context: Context) -> None:
        model = context.model
        self.pipeline = HALLUCINATORS.build(model)
        self.discriminator: Any = _built(DISCRIMINATORS, model.get("discriminator"))
        self.landmark_prior: Any = _built(PRIORS, model.get("landmark_prior"))
        self.losses = nn.ModuleDict({name: LOSSES.build(term) for name, term in (model.get("losses") or {}).items()})
        if not self.losses and type(self).step is UpsamplerStage.step:
            raise OfhkitError("model.losses is empty: name a loss that the upsampler learns from")
        self.adversarial = next((n for n, term in self.losses.items() if isinstance(term, AdversarialLoss)), None)
        self.steps = 0  # of this process: when to measure, no result depends on it
        self.true_landmarks: Any = None  # (index, mirrored) -> what the prior says of hr, where it was asked before
        self.cross_fitted: list[Fitted] | None = None
        if self.folds and not isinstance(self.pipeline.inpainter, Fitted):
            raise OfhkitError(
                f"stages.{self.name}.cross_fit is for inpainters that are fitted; leave it out for "
                f"{type(self.pipeline.inpainter).__name__}"
            )
        self.frozen = [n for n in (self.pipeline.inpainter, self.landmark_prior) if n is not None]
        for name, network in (("inpainter", self.pipeline.inpainter), ("landmark_prior", self.landmark_prior)):
            if name in context.outputs:
                load_strictly(network, load_weights(context.outputs[name])[0], str(context.outputs[name]))
        for network in self.frozen:
            freeze(network)

    def prepare(self, context: Context, degrade: nn.Module, folder: Path) -> None:
        faces, device, shown = context.train, context.device, self.iterations * self.batch_size
        if self.landmark_prior is not None and worth_a_table(degrade, len(faces), shown):
            self.true_landmarks = true_landmarks(self.landmark_prior, degrade, faces, device, folder / TRUE_LANDMARKS)
        if self.folds:
            self.cross_fitted = cross_fit(context.model["inpainter"], self.folds, faces, degrade, device)

    def train(self, mode: bool = True) -> UpsamplerStage:
        """Switch the mode of what learns; what is frozen stays in eval mode."""
        super().train(mode)
        for network in getattr(self, "frozen", ()):
            network.eval()
        return self

    def step(self, batch: dict[str, Tensor], optim: Mapping[str, OptimWrapper]) -> dict[str, Tensor]:
        """One alternation from one fake forward: D on (hr, sr), then the upsampler on the weighted losses."""
        with optim["upsampler"].optim_context(self.network):
            with torch.no_grad():
                completed = self._complete(batch)
            batch["sr"] = self.pipeline.upsample(completed, batch["mask"])

        log: dict[str, Tensor] = {}
        update_upsampler = True
        if self.discriminator is not None:
            log, update_upsampler = self._update_discriminator(batch, optim["discriminator"])
            self.discriminator.requires_grad_(False)  # its gradients are not wanted below
        if update_upsampler:
            with optim["upsampler"].optim_context(self.network):
                if self.discriminator is not None:
                    batch["fake_logits"] = self.discriminator(batch["sr"])
                if self.true_landmarks is not None:
                    batch["hr_landmarks"] = self.true_landmarks(batch["index"], batch["mirrored"])
                side = getattr(self.network, "side", {})  # what an upsampler makes on its way
                available = {**batch, **side, "landmark_prior": self.landmark_prior}
                terms = {name: term.evaluate(available) for name, term in self.losses.items()}
                total = sum(self.losses[name].weight * value for name, value in terms.items())
            if self.adversarial is not None and self.steps % _SHARE_INTERVAL == 0:
                part = self.losses[self.adversarial].weight * terms[self.adversarial]
                log["adversary_share"] = gradient_share(part, total - part, self.network.parameters())
            optim["upsampler"].update_params(total)
            log |= {**terms, "total": total}
        if self.discriminator is not None:
            self.discriminator.requires_grad_(True)
        self.steps += 1
        return {name: value.detach() for name, value in log.items()}

    def _complete(self, batch: dict[str, Tensor]) -> Tensor:
        if self.cross_fitted is None:
            return self.pipeline.complete(batch["lr"], batch["mask"])
        return complete_crossed(self.cross_fitted, batch["lr"], batch["mask"], batch["index"])

    def _update_discriminator(self, batch: dict, optim: OptimWrapper) -> tuple[dict[str, Tensor], bool]:
        """Show it real and fake faces; returns its losses and whether the upsampler's turn follows."""
        with optim.optim_context(self.discriminator):
            term = AdversarialLoss() if self.adversarial is None else self.losses[self.adversarial]
            hr = batch["hr"].detach().requires_grad_(term.r1 > 0)
            real_logits, fake_logits = self.discriminator(hr), self.discriminator(batch["sr"].detach())
            real, fake = term.discriminator(real_logits, fake_logits)
            slope = term.slope(real_logits, hr) if term.r1 else 0
        batch["real_logits"] = real_logits.detach()
        update_discriminator, update_upsampler = self._who_moves(real, fake)
        if update_discriminator:
            optim.update_params(real + fake + slope)
        right = {"d_real_right": (real_logits > 0).float().mean(), "d_fake_right": (fake_logits < 0).float().mean()}
        return {"d_real": real, "d_fake": fake, **right}, update_upsampler

    def _who_moves(self, real: Tensor, fake: Tensor) -> tuple[bool, bool]:
        """Whether to update the discriminator, and whether to update the upsampler."""
        if self.margin is None and self.lead is None:
            return True, True
        losses = average({"real": real.float(), "fake": fake.float()})  # so that all processes decide alike
        on_real, on_fake = (value.item() for value in losses.values())
        if self.lead is not None and (on_real + on_fake) / 2 < self.lead:
            return False, True
        return (True, True) if self.margin is None else who_moves(on_real, on_fake, self.margin)

    def predict(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.pipeline.predict(batch["lr"], batch["mask"])

    @property
    def network(self) -> nn.Module:
        return self.pipeline.upsampler

    def networks(self) -> list[nn.Module]:
        return [self.network, *self.frozen] + ([] if self.discriminator is None else [self.discriminator])

    def optimizers(self, device: torch.device, amp: torch.dtype | None, kernel: str = "auto") -> OptimWrapperDict:
        wrappers = {"upsampler": super().optimizers(device, amp, kernel)}
        if self.discriminator is not None:
            optimizer = self.discriminator_optimizer
            wrappers["discriminator"] = self.wrap(self.discriminator, optimizer, device, amp, kernel)
        return OptimWrapperDict(**wrappers)


def _built(registry: Any, component: Any) -> nn.Module | None:
    return None if component is None else registry.build(component)
