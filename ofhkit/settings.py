"""The plain settings of a configuration: ``runtime``, ``data`` and ``evaluation``, with their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ofhkit.errors import OfhkitError


@dataclass(frozen=True)
class Runtime:
    """Switches of the runner. But for ``seed`` and ``ema`` no result depends on them (beyond the last bits).

    Attributes:
        seed: of weights, order, flips and holes.
        log_interval: iterations between two progress lines.
        checkpoint_interval: iterations between two checkpoints; at least one is written every minute.
        channels_last: memory layout of the networks.
        validations: how often a step is scored on ``val_images`` and draws its sample grid.
        val_images: how many validation faces.
        ema: decay of a running average of the trained network, which is then what is validated and delivered; or None.
        compile: compile the sub-networks with ``torch.compile``.
        tf32: let CUDA multiply float32 in TF32.
        optimizer_kernels: ``fused`` or ``foreach``; ``auto`` leaves it to torch.
        prefetch: on CUDA, copy the next batch to the device while this one is computed.
        trackers: also write scalars to ``tensorboard`` and/or ``wandb``.
    """

    seed: int = 0
    log_interval: int = 50
    checkpoint_interval: int = 2000
    channels_last: bool = True
    validations: int = 5
    val_images: int = 100
    ema: float | None = None
    compile: bool = False
    tf32: bool = False
    optimizer_kernels: Literal["auto", "fused", "foreach"] = "auto"
    prefetch: bool = True
    trackers: list[Literal["tensorboard", "wandb"]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.ema is not None and not 0 < self.ema < 1:
            raise OfhkitError(f"runtime.ema is a decay between 0 and 1 such as 0.999, or None; got {self.ema}")


@dataclass(frozen=True)
class Data:
    """What is trained on.

    Attributes:
        dataset, degradation: components.
        num_workers: processes that read training faces; 0 reads in the trainer.
        on_device: keep all training faces on the device (uint8).
    """

    dataset: Mapping[str, Any]
    degradation: Mapping[str, Any]
    num_workers: int = 0
    on_device: bool = False


@dataclass(frozen=True)
class Evaluation:
    """How ``tools/test.py`` scores.

    Attributes:
        metrics: name -> metric.
        batch_size: faces at a time.
        after_training: so many test faces are scored when training ends; 0: none.
    """

    metrics: Mapping[str, Any]
    batch_size: int = 64
    after_training: int = 0


SECTIONS = {"runtime": Runtime, "data": Data, "evaluation": Evaluation}
