"""What a step of a curriculum is: what it trains, what it depends on, and what it delivers.

A step's fingerprint covers its own components, its schedule, the data, the degradation, the seed and the steps it
builds on: nothing else, and never the device. Equal fingerprints are the same work, done once.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.registry import HOOKS
from ofhkit.training.checkpoint import load_strictly, load_weights
from ofhkit.training.optim import build_optimizer, check_training, scale_schedule, wrap_optimizer


@dataclass(frozen=True)
class Context:
    """What a step may look at: the configuration, the data, and what the steps before it delivered."""

    config: Mapping[str, Any]
    data: Mapping[str, Any]  # hash, number of training faces: what identifies the data set
    seed: int
    budget: float = 1.0
    delivered: dict[str, Path] = field(default_factory=dict)  # component -> weights.safetensors
    fingerprints: dict[str, str] = field(default_factory=dict)  # component -> fingerprint of the step that made it

    @property
    def model(self) -> Mapping[str, Any]:
        return self.config["model"]


class Step(ABC):
    """Base of the steps: what is trained and on what it builds; :mod:`ofhkit.training.training` carries it out."""

    component: str  # what it trains: a key of ``model``
    shared: bool = True  # do methods share its result?
    builds_on: ClassVar[tuple[str, ...]] = ()  # components that must be there before
    alone: ClassVar[bool] = False  # does the first process of a job carry it out while the others wait?

    @abstractmethod
    def needed(self, model: Mapping[str, Any]) -> bool:
        """Whether a pipeline configured so needs this step."""

    def recipe(self, context: Context) -> dict[str, Any]:
        """Everything that the fingerprint covers, as plain values."""
        return {
            "step": type(self).__name__,
            "seed": context.seed,
            "data": context.data,
            self.component: context.model[self.component],
        }


class OptimiseStep(Step):
    """A step of many iterations; ``--budget`` scales them.

    Args:
        iterations: at budget 1.
        batch_size: images an iteration, over all processes.
        optimizer: ``dict(type='Adam', lr=…)``.
        schedule: an MMEngine parameter scheduler (or a list), counted in iterations at budget 1; or None.
        clip_grad: arguments of ``torch.nn.utils.clip_grad_norm_``, or None.
        freeze_norm: share of the iterations, the last ones, in which BatchNorm uses its running statistics.
        average: decay of the moving average of the weights, which is then what is validated and delivered; 0: none.
        hooks: name -> hook of your own, called by the runner; None leaves one of a base configuration out.
        deliver: the ``last`` weights, or those that were ``best`` at one of the validations.
    """

    def __init__(
        self,
        iterations: int,
        batch_size: int = 16,
        optimizer: Mapping[str, Any] | None = None,
        schedule: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        clip_grad: Mapping[str, Any] | None = None,
        freeze_norm: float = 0.0,
        average: float = 0.0,
        hooks: Mapping[str, Any] | None = None,
        deliver: Literal["last", "best"] = "last",
    ):
        for name, value in (("iterations", iterations), ("batch_size", batch_size)):
            if not isinstance(value, int) or value < 1:
                raise OfhkitError(f"step {type(self).__name__}: {name} must be a positive whole number, got {value!r}")
        if not 0 <= freeze_norm <= 1:
            raise OfhkitError(f"step {type(self).__name__}: freeze_norm is a share between 0 and 1, got {freeze_norm}")
        self.iterations, self.batch_size, self.schedule, self.clip_grad = iterations, batch_size, schedule, clip_grad
        if not 0 <= average < 1:
            raise OfhkitError(f"step {type(self).__name__}: average is a decay from 0 to below 1, got {average}")
        if deliver not in ("last", "best"):
            raise OfhkitError(f"step {type(self).__name__}: deliver is 'last' or 'best', got {deliver!r}")
        self.freeze_norm, self.average, self.deliver = freeze_norm, average, deliver
        self.hooks = {name: hook for name, hook in (hooks or {}).items() if hook is not None}
        self.optimizer = optimizer or dict(type="Adam", lr=1e-3)
        check_training([self.optimizer], schedule, iterations, clip_grad)

    @abstractmethod
    def build(self, context: Context) -> nn.Module:
        """Return the model whose ``train_step`` the runner calls, with what was delivered before loaded."""

    def metrics(self) -> list[dict]:
        """Metrics that tell how this step is doing; the first with a direction says which weights are best."""
        return []

    def recipe(self, context: Context) -> dict[str, Any]:
        iterations = scaled(self.iterations, context.budget)
        watched = {key: context.config["runtime"].get(key) for key in ("validations", "val_images")}
        return {
            **super().recipe(context),
            "iterations": iterations,
            "batch_size": self.batch_size,
            "optimizer": self.optimizer,
            "schedule": scale_schedule(self.schedule, context.budget, iterations),
            "clip_grad": self.clip_grad,
            "freeze_norm": self.freeze_norm,
            "average": self.average,
            "degradation": context.config["data"]["degradation"],
            **({"hooks": {k: HOOKS.complete(v) for k, v in self.hooks.items()}} if self.hooks else {}),
            **({"deliver": "best", **watched} if self.deliver == "best" else {}),
        }

    def trained(self, model: nn.Module) -> nn.Module:
        """The network inside ``model`` that this step delivers."""
        return model.network

    def optim_wrapper(
        self, model: nn.Module, device: torch.device, amp: torch.dtype | None, kernel: str = "auto"
    ) -> OptimWrapper:
        """Optimizer over the trained network."""
        optimizer = build_optimizer(self.trained(model).parameters(), self.optimizer, kernel)
        return wrap_optimizer(optimizer, self.clip_grad, device, amp)


def scaled(iterations: int, budget: float) -> int:
    """Iterations at a budget, at least one."""
    return max(1, round(iterations * budget))


def fingerprint(recipe: Mapping[str, Any]) -> str:
    """Sixteen hex digits over a recipe.

    >>> fingerprint({'a': 1, 'b': 2}) == fingerprint({'b': 2, 'a': 1})
    True
    """
    return hashlib.sha256(json.dumps(recipe, sort_keys=True, default=str).encode()).hexdigest()[:16]


def has_parameters(network: nn.Module) -> bool:
    """Whether there is anything to train."""
    return any(p.requires_grad for p in network.parameters())


def load_component(network: nn.Module, path: Path | None) -> nn.Module:
    """Load delivered weights into a component (nothing to load: it stays as built)."""
    if path is not None:
        load_strictly(network, load_weights(path)[0], str(path))
    return network
