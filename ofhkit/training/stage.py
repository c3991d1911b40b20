"""What a stage of a training is: one network that learns from batches, and what its result depends on."""

import hashlib
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.utils.data import Dataset

from ofhkit.config.check import ROLE_OF_KEY
from ofhkit.errors import OfhkitError
from ofhkit.registry import HOOKS
from ofhkit.runtime.distributed import world_size
from ofhkit.training.optim import Wrapper, build_optimizer, check_training, scale_schedule


@dataclass(frozen=True)
class Context:
    """What a stage may look at: the configuration, the data, and what the stages before it delivered.

    Attributes:
        train, val: faces; val may be None.
        amp: mixed precision where the device is good at it.
        outputs: component -> its ``weights.safetensors``.
        digests: component -> digest of the stage that made it.
        left_out: component -> stage that would make it and was neither wanted nor done.
    """

    config: Any
    train: Dataset
    val: Dataset | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    amp: bool = False
    outputs: Mapping[str, Path] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def model(self) -> Mapping[str, Any]:
        return self.config["model"]

    @property
    def seed(self) -> int:
        return self.config["runtime"]["seed"]

    @property
    def degradation(self) -> Mapping[str, Any]:
        return self.config["data"]["degradation"]

    @property
    def data(self) -> dict[str, Any]:
        """What identifies the training faces."""
        return {"hash": self.train.metainfo["data_hash"], "num_train": len(self.train)}


class Stage(nn.Module, ABC):
    """One network that learns from batches by losses; the module holds it and all that it learns with.

    Building a stage checks its settings only; :meth:`build` makes the networks. ``--budget`` scales the iterations.

    Args:
        iterations: at budget 1.
        batch_size: images an iteration, over all processes.
        optimizer: ``dict(type='Adam', lr=…)``.
        schedule: an MMEngine parameter scheduler (or a list), counted in iterations at budget 1; or None.
        clip_grad: arguments of ``torch.nn.utils.clip_grad_norm_``, or None.
        freeze_bn: share of the iterations, the last ones, in which BatchNorm uses its running statistics.
        average: decay of the moving average of the weights, which is then what is validated and delivered; 0: none.
        hooks: name -> hook of your own, called by the runner; None leaves one of a base configuration out.
        save: the ``last`` weights, or those that were ``best`` at one of the validations.
    """

    trains: str  # the component that learns: a key of ``model``
    needs: ClassVar[tuple[str, ...]] = ()  # components of earlier stages
    shared: bool = True  # do methods share its result?
    metrics: ClassVar[tuple[dict[str, Any], ...]] = ()  # the first with a direction says which weights are best
    main_only: ClassVar[bool] = False  # does the first process of a job carry it out while the others wait?
    name: str = ""  # its key in ``stages``
    place: str = ""  # as in 'stage 2 of 3'
    later: float = 0.0  # work of the stages after it, of which its own is 1
    earlier: float = 0.0  # core-seconds that interrupted sessions spent on it

    def __init__(
        self,
        iterations: int,
        batch_size: int = 16,
        optimizer: Mapping[str, Any] | None = None,
        schedule: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        clip_grad: Mapping[str, Any] | None = None,
        freeze_bn: float = 0.0,
        average: float = 0.0,
        hooks: Mapping[str, Any] | None = None,
        save: Literal["last", "best"] = "last",
    ):
        super().__init__()
        name = type(self).__name__
        for key, value in (("iterations", iterations), ("batch_size", batch_size)):
            if not isinstance(value, int) or value < 1:
                raise OfhkitError(f"stage {name}: {key} must be a positive whole number, got {value!r}", key=key)
        if not 0 <= freeze_bn <= 1:
            raise OfhkitError(f"stage {name}: freeze_bn is a share between 0 and 1, got {freeze_bn}", key="freeze_bn")
        if not 0 <= average < 1:
            raise OfhkitError(f"stage {name}: average is a decay from 0 to below 1, got {average}", key="average")
        if save not in ("last", "best"):
            raise OfhkitError(f"stage {name}: save is 'last' or 'best', got {save!r}", key="save")
        self.iterations, self.batch_size, self.schedule, self.clip_grad = iterations, batch_size, schedule, clip_grad
        self.freeze_bn, self.average, self.save = freeze_bn, average, save
        self.hooks = {key: hook for key, hook in (hooks or {}).items() if hook is not None}
        self.optimizer = optimizer or dict(type="Adam", lr=1e-3)
        self.began = time.process_time()
        check_training([self.optimizer], schedule, iterations, clip_grad)

    def needed(self, model: Mapping[str, Any]) -> bool:
        """Whether a pipeline configured so needs this stage: it has the component, and something in it to train."""
        part = model.get(self.trains)
        return part is not None and any(p.requires_grad for p in ROLE_OF_KEY[self.trains].build(part).parameters())

    def core_seconds(self) -> float:
        """Processor time spent on it so far, of all threads and processes, in all sessions."""
        return self.earlier + (time.process_time() - self.began) * world_size()

    def scale(self, budget: float) -> None:
        """Scale iterations (to at least one) and schedule by ``budget``."""
        self.iterations = max(1, round(self.iterations * budget))
        self.schedule = scale_schedule(self.schedule, budget, self.iterations)

    def spec(self, context: Context) -> dict[str, Any]:
        """All that the result depends on, as plain values: component, schedule, data, degradation, seed."""
        watched = {key: context.config["runtime"].get(key) for key in ("validations", "val_images")}
        return {
            "stage": type(self).__name__,
            "seed": context.seed,
            "data": context.data,
            self.trains: context.model[self.trains],
            "iterations": self.iterations,
            "batch_size": self.batch_size,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "clip_grad": self.clip_grad,
            "freeze_bn": self.freeze_bn,
            "average": self.average,
            "degradation": context.degradation,
            **({"hooks": {k: HOOKS.complete(v) for k, v in self.hooks.items()}} if self.hooks else {}),
            **({"save": "best", **watched} if self.save == "best" else {}),
        }

    @abstractmethod
    def build(self, context: Context) -> None:
        """Make the networks, and load into them what earlier stages delivered."""

    def prepare(self, context: Context, degrade: nn.Module, folder: Path) -> None:
        """Do once, before the first iteration, what would else be done in each."""

    @abstractmethod
    def step(self, batch: dict[str, Tensor], optim: Any) -> dict[str, Tensor]:
        """Learn from a degraded batch: one update of ``optim``; returns the losses to be logged, detached."""

    @abstractmethod
    def predict(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """What the networks make of a degraded batch: the batch keys that metrics and sample grids read."""

    @property
    def network(self) -> nn.Module:
        """The network that learns and is delivered."""
        return getattr(self, self.trains)

    def networks(self) -> list[nn.Module]:
        """All networks that a step calls."""
        return [self.network]

    def optimizers(self, device: torch.device, amp: torch.dtype | None, kernel: str = "auto") -> Any:
        """Return the optimizer's wrapper, or MMEngine's OptimWrapperDict of several."""
        return self.wrap(self.network, self.optimizer, device, amp, kernel)

    def wrap(self, network: nn.Module, optimizer: Mapping, device: Any, amp: Any, kernel: str) -> OptimWrapper:
        built = build_optimizer(network.parameters(), optimizer, kernel)
        return Wrapper(built, self.clip_grad, device, amp)


def digest(spec: Mapping[str, Any]) -> str:
    """Sixteen hex digits over a stage's spec: equal digests are the same work, done once.

    >>> digest({'a': 1, 'b': 2}) == digest({'b': 2, 'a': 1})
    True
    """
    return hashlib.sha256(json.dumps(spec, sort_keys=True, default=str).encode()).hexdigest()[:16]


def freeze(network: nn.Module) -> nn.Module:
    """Stop gradients into the weights and put the network into eval mode (BatchNorm statistics must not drift)."""
    return network.requires_grad_(False).eval()
