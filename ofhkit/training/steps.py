"""The steps of a curriculum: landmark network, inpainter, parser, upsampler (by optimisation or in one pass)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.registry import (
    DEGRADATIONS,
    HALLUCINATORS,
    INPAINTERS,
    LANDMARK_PRIORS,
    LOSSES,
    PARSERS,
    STEPS,
    UPSAMPLERS,
)
from ofhkit.training.optim import build_optimizer, check_training, wrap_optimizer
from ofhkit.training.recipes import Context, OptimiseStep, Step, has_parameters, load_component

_FITTED = {"upsampler": UPSAMPLERS, "inpainter": INPAINTERS}


class _Pretraining(OptimiseStep):
    """A step that trains one network alone with one loss."""

    trainer: ClassVar[str]
    loss: dict
    registry: ClassVar[Any]

    def needed(self, model: Mapping[str, Any]) -> bool:
        part = model.get(self.component)
        return part is not None and has_parameters(self.registry.build(part))

    def recipe(self, context: Context) -> dict[str, Any]:
        return {**super().recipe(context), "loss": LOSSES.complete(self.loss)}

    def build(self, context: Context) -> nn.Module:
        degradation = DEGRADATIONS.build(context.config["data"]["degradation"], seed=context.seed)
        parts = {self.component: context.model[self.component]}
        return HALLUCINATORS.build({"type": self.trainer, **parts, "loss": self.loss, "data_preprocessor": degradation})


@STEPS.register_module()
class InpainterStep(_Pretraining):
    """Step 1: the inpainter alone, in LR. ``loss`` is a loss term over ``lr_filled`` and ``lr_gt``."""

    component, registry, trainer = "inpainter", INPAINTERS, "InpainterPretraining"

    def __init__(self, iterations: int, loss: Mapping | None = None, **training: Any):
        super().__init__(iterations, **training)
        self.loss = dict(loss or {"type": "CompletionLoss"})

    def metrics(self) -> list[dict]:
        return [dict(type="LRPSNR")]


@STEPS.register_module()
class LandmarkStep(_Pretraining):
    """Step 0: the landmark network on labelled faces; needed only where a loss reads it and it is not pretrained."""

    component, registry, trainer = "landmark_prior", LANDMARK_PRIORS, "LandmarkPretraining"

    def __init__(self, iterations: int, loss: Mapping | None = None, **training: Any):
        super().__init__(iterations, **training)
        self.loss = dict(loss or {"type": "LandmarkLoss"})

    def needed(self, model: Mapping[str, Any]) -> bool:
        terms = [LOSSES.build(term) for term in (model.get("losses") or {}).values()]
        return any("landmark_prior" in term.needs() for term in terms) and super().needed(model)

    def metrics(self) -> list[dict]:
        return [dict(type="LandmarkError")]


@STEPS.register_module()
class ParserStep(_Pretraining):
    """The parser on labelled faces: for measuring, no part of a pipeline."""

    component, registry, trainer = "parser", PARSERS, "ParserPretraining"

    def __init__(self, iterations: int, loss: Mapping | None = None, **training: Any):
        super().__init__(iterations, **training)
        self.loss = dict(loss or {"type": "ParsingLoss"})

    def metrics(self) -> list[dict]:
        return [dict(type="LabelIoU")]


@STEPS.register_module()
class UpsamplerStep(OptimiseStep):
    """Step 2: the upsampler, alternating with the discriminator where there is one; IN and A stay frozen.

    Args:
        discriminator_optimizer: defaults to ``optimizer``.
    """

    component, shared = "upsampler", False
    builds_on = ("inpainter", "landmark_prior")

    def __init__(self, iterations: int, discriminator_optimizer: Mapping | None = None, **training: Any):
        super().__init__(iterations, **training)
        self.discriminator_optimizer = discriminator_optimizer or self.optimizer
        check_training([self.discriminator_optimizer], None, iterations)

    def needed(self, model: Mapping[str, Any]) -> bool:
        return has_parameters(UPSAMPLERS.build(model["upsampler"]))

    def recipe(self, context: Context) -> dict[str, Any]:
        return {
            **super().recipe(context),
            "model": context.model,
            "discriminator_optimizer": self.discriminator_optimizer,
            "built_on": {k: v for k, v in context.fingerprints.items() if k in self.builds_on},
        }

    def build(self, context: Context) -> nn.Module:
        degradation = DEGRADATIONS.build(context.config["data"]["degradation"], seed=context.seed)
        model = HALLUCINATORS.build({**context.model, "data_preprocessor": degradation})
        for name in self.builds_on:
            load_component(getattr(model, name, None), context.delivered.get(name))
        return model

    def trained(self, model: nn.Module) -> nn.Module:
        return model.upsampler

    def optim_wrapper(
        self, model: nn.Module, device: torch.device, amp: torch.dtype | None, kernel: str = "auto"
    ) -> OptimWrapper:
        wrappers = {"upsampler": super().optim_wrapper(model, device, amp, kernel)}
        if getattr(model, "discriminator", None) is not None:
            optimizer = build_optimizer(model.discriminator.parameters(), self.discriminator_optimizer, kernel)
            wrappers["discriminator"] = wrap_optimizer(optimizer, self.clip_grad, device, amp)
        return OptimWrapperDict(**wrappers)

    def metrics(self) -> list[dict]:
        return [dict(type="PSNR"), dict(type="SSIM")]


@STEPS.register_module()
class FitStep(Step):
    """Instead of optimisation, for networks that are fitted in one pass (``partial_fit``, ``finalise``).

    Every training face is seen once: clean, neither flipped nor occluded. ``--budget`` does not scale it.

    Args:
        component: ``upsampler`` or ``inpainter``.
        batch_size: faces at a time; no result depends on it.
    """

    alone = True

    def __init__(self, component: Literal["upsampler", "inpainter"] = "upsampler", batch_size: int = 256):
        if component not in _FITTED:
            raise OfhkitError(f"step FitStep: component is one of {', '.join(_FITTED)}, got {component!r}")
        self.component, self.shared, self.batch_size = component, component == "inpainter", batch_size

    def needed(self, model: Mapping[str, Any]) -> bool:
        part = model.get(self.component)
        return part is not None and hasattr(_FITTED[self.component].build(part), "partial_fit")

    def recipe(self, context: Context) -> dict[str, Any]:
        return {**super().recipe(context), "degradation": context.config["data"]["degradation"]}

    def build(self, context: Context) -> tuple[nn.Module, nn.Module]:
        """Return the network to fit and the degradation that makes its faces."""
        degradation = DEGRADATIONS.build(context.config["data"]["degradation"], seed=context.seed)
        return _FITTED[self.component].build(context.model[self.component]), degradation
