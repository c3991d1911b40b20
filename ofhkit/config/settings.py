"""The plain settings of a configuration: ``runtime``, ``data`` and ``evaluation``, with their defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Runtime:
    """Switches of the runner. But for ``seed`` no result depends on them (beyond the last bits).

    Attributes:
        seed: of weights, order, flips and holes.
        log_interval: iterations between two progress lines.
        checkpoint_interval: iterations between two checkpoints; at least one is written every minute.
        channels_last: memory layout of the networks.
        implementation: of the upsampling operators while training (:func:`ofhkit.ops.upsample_conv2d`); all compute
            the same function.
        validations: how often a stage is scored on ``val_images`` and draws its sample grid; a short one less often, so
            that it learns from at least as many faces as it is scored on.
        val_images: how many validation faces.
        compile: ``torch.compile`` each network; pays on a GPU in long runs only (on a CPU nothing was gained).
        tf32: allow TF32 in products and convolutions on CUDA; None leaves torch's own defaults.
        optimizer: ``fused``, ``foreach`` or ``loop`` over the parameters; ``torch`` leaves the choice to torch;
            ``auto`` is fused on CUDA and on a CPU (there a third of the loop's time for OFHNet's 7.4 M weights).
        prefetch: on CUDA, copy the next batch on a side stream while this one is computed on.
        visualizer: ``tensorboard``, ``wandb``, or MMEngine's configuration; None writes scalars to a local file only.
    """

    seed: int = 0
    log_interval: int = 50
    checkpoint_interval: int = 2000
    channels_last: bool = True
    implementation: Literal["auto", "enlarged", "nine", "phase", "plain", "triton"] = "auto"
    validations: int = 5
    val_images: int = 100
    compile: bool = False
    tf32: bool | None = None
    optimizer: Literal["auto", "torch", "fused", "foreach", "loop"] = "auto"
    prefetch: bool = True
    visualizer: Mapping[str, Any] | str | None = None


@dataclass(frozen=True)
class Data:
    """What is trained on.

    Attributes:
        dataset, degradation: components.
        num_workers: processes that read training faces; 0 reads in the trainer.
        on_device: keep the training faces in the GPU's memory, if they take no more than half of what is free.
    """

    dataset: Mapping[str, Any]
    degradation: Mapping[str, Any]
    num_workers: int = 0
    on_device: bool = False


@dataclass(frozen=True)
class Evaluation:
    """How ``ofhkit test`` scores.

    Attributes:
        metrics: name -> metric.
        batch_size: faces at a time.
        after_training: so many test faces are scored when training ends; 0: none.
        sections: name -> section of your own in ``report.html``, under that name.
    """

    metrics: Mapping[str, Any]
    batch_size: int = 64
    after_training: int = 0
    sections: Mapping[str, Any] = field(default_factory=dict)


SECTIONS = {"runtime": Runtime, "data": Data, "evaluation": Evaluation}
