"""Optimizers, schedules and mixed precision, on any device."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import OPTIMIZERS, PARAM_SCHEDULERS
from torch import nn

from ofhkit.config.check import check_values
from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.registry import check_arguments
from ofhkit.runtime.distributed import average_gradients
from ofhkit.training import muon  # noqa: F401 (registers ConvMuon)

_SCALED = ("begin", "end", "T_max", "total_iters", "milestones", "step_size")


class Wrapper(OptimWrapper):
    """MMEngine's wrapper, which averages gradients over the processes of a job and autocasts where ``amp`` says so.

    MMEngine's own for mixed precision asserts a GPU and always scales; here gradients are scaled for float16 only.

    Args:
        amp: the type to compute in, or None.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        clip_grad: Mapping[str, Any] | None = None,
        device: torch.device | None = None,
        amp: torch.dtype | None = None,
    ):
        super().__init__(optimizer, clip_grad=dict(clip_grad) if clip_grad else None)
        self.device_type, self.amp = "cpu" if device is None else device.type, amp
        self.scaler = torch.amp.GradScaler(self.device_type, enabled=amp == torch.float16)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        cast = nullcontext() if self.amp is None else torch.autocast(self.device_type, self.amp)
        with super().optim_context(model), cast:
            yield

    def backward(self, loss: torch.Tensor, **kwargs: Any) -> None:
        super().backward(self.scaler.scale(loss), **kwargs)

    def step(self, **kwargs: Any) -> None:
        average_gradients(p for group in self.param_groups for p in group["params"])  # an overflow is everybody's
        if self.clip_grad_kwargs:
            self.scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.scaler.step(self.optimizer, **kwargs)
        self.scaler.update()

    def state_dict(self) -> dict:
        return {"optimizer": super().state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state_dict: dict) -> None:
        """Take over what this or MMEngine's own wrapper saved."""
        super().load_state_dict(state_dict.get("optimizer", state_dict))
        if state_dict.get("scaler"):  # empty where nothing was scaled
            self.scaler.load_state_dict(state_dict["scaler"])


def _component(registry: Any, cfg: Mapping[str, Any], what: str) -> tuple[Any, str, dict[str, Any]]:
    """The class that a configuration names in one of MMEngine's registries, a label for messages, and its arguments."""
    arguments = dict(cfg)
    name = arguments.pop("type", None)
    kind = registry.module_dict.get(name) if isinstance(name, str) else None
    if kind is None:
        hint = did_you_mean(str(name), registry.module_dict)
        raise OfhkitError(f"unknown {what} {name!r}", key=f"{what}.type", remedy=hint)
    return kind, f"{what} {name!r}", arguments


def build_optimizer(parameters: Any, cfg: Mapping[str, Any], kernel: str = "auto") -> torch.optim.Optimizer:
    """Build ``dict(type='Adam', lr=…)`` over ``parameters``.

    Args:
        kernel: ``fused``, ``foreach`` or ``loop``, where the optimizer has it and ``cfg`` says nothing of it; ``torch``
            leaves the choice to torch, ``auto`` is fused on a CPU and on CUDA.

    Raises:
        OfhkitError: unknown optimizer or argument, or nothing to train.
    """
    kind, label, arguments = _component(OPTIMIZERS, cfg, "optimizer")
    parameters = [p for p in parameters if p.requires_grad]
    if not parameters:
        raise OfhkitError("this stage has no parameters to train")
    check_arguments(kind, {"params": None, **arguments}, label)
    check_values(kind, arguments, label)
    if kernel == "auto":
        kernel = "fused" if parameters[0].device.type in ("cpu", "cuda") else "torch"
    if kernel != "torch" and not {"fused", "foreach"} & set(arguments):
        wanted = {"foreach": False} if kernel == "loop" else {kernel: True}
        arguments |= {key: value for key, value in wanted.items() if key in inspect.signature(kind).parameters}
    try:
        return kind(parameters, **arguments)
    except (ValueError, TypeError) as error:
        raise OfhkitError(f"{label}: {error}") from None


def check_training(
    optimizers: Sequence[Mapping[str, Any]], schedule: Any, iterations: int, clip_grad: Mapping[str, Any] | None = None
) -> None:
    """Build optimizers and schedule over one number, so that a mistake in them shows before any data is read.

    Raises:
        OfhkitError: names the optimizer, the schedule or ``clip_grad`` and its unknown or impossible argument.
    """
    if clip_grad:
        check_arguments(nn.utils.clip_grad_norm_, {"parameters": None, **clip_grad}, "clip_grad", beside=())
        check_values(nn.utils.clip_grad_norm_, clip_grad, "clip_grad")
        if clip_grad["max_norm"] <= 0:
            raise OfhkitError(f"clip_grad: max_norm must be more than 0, got {clip_grad['max_norm']}", key="max_norm")
    for cfg in optimizers:
        optimizer = build_optimizer([nn.Parameter(torch.zeros(()))], cfg)
        build_schedulers(scale_schedule(schedule, 1.0, iterations), OptimWrapper(optimizer))


def scale_schedule(
    schedule: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None, budget: float, iterations: int
) -> list[dict]:
    """Scale the iteration counts of schedules by ``budget``; ``T_max`` defaults to the whole stage.

    A schedule with ``scaled=False`` (a warm-up of so many updates) keeps its counts.

    >>> scale_schedule(dict(type='MultiStepLR', milestones=[100, 200]), 0.1, 30)[0]['milestones']
    [10, 20]
    """
    several = [schedule] if isinstance(schedule, Mapping) else schedule or []
    return [_scale(one, budget, iterations) for one in several]


def _scale(schedule: Mapping[str, Any], budget: float, iterations: int) -> dict:
    scaled: dict[str, Any] = {"by_epoch": False, **schedule}
    for key in _SCALED if scaled.pop("scaled", True) else ():
        if key in scaled:
            value = scaled[key]
            least = 0 if key == "begin" else scaled.get("begin", 0) + 1 if key == "end" else 1
            several = [max(least, round(v * budget)) for v in (value if isinstance(value, list) else [value])]
            scaled[key] = several if isinstance(value, list) else several[0]
    if scaled.get("type") == "CosineAnnealingLR":
        scaled.setdefault("T_max", iterations)
    return scaled


def build_schedulers(schedules: Sequence[Mapping[str, Any]], wrapper: OptimWrapper) -> Any:
    """Build MMEngine schedulers for one wrapper or for each of several.

    Raises:
        OfhkitError: unknown schedule or argument.
    """
    if not schedules:
        return None
    if isinstance(wrapper, OptimWrapperDict):
        return {key: build_schedulers(schedules, one) for key, one in wrapper.items()}
    built = []
    for schedule in schedules:
        kind, label, arguments = _component(PARAM_SCHEDULERS, schedule, "schedule")
        check_arguments(kind, {"optimizer": wrapper, "param_name": "lr", **arguments}, label)
        try:
            built.append(kind(wrapper, **arguments))
        except (ValueError, TypeError, AssertionError) as error:
            raise OfhkitError(f"{label}: {error or 'an argument is out of range'}") from None
    return built
