"""Networks that are fitted in one pass over the faces instead of being optimised: their stage, and cross-fitting.

Moments that hold a face complete it better than those of other faces do. An upsampler that learns from them meets only
holes that are filled too well. So the faces are dealt into folds, and each is completed by what was fitted to the other
folds. What is delivered, and validated, is fitted to all faces.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ofhkit.config.check import ROLE_OF_KEY
from ofhkit.data.sampler import in_batches
from ofhkit.errors import OfhkitError
from ofhkit.functional.masks import hash_integers, paste
from ofhkit.models.fitted import Fitted
from ofhkit.registry import DEGRADATIONS, INPAINTERS, PIPELINE, STAGES
from ofhkit.runtime.distributed import rank, world_size
from ofhkit.runtime.progress import Progress
from ofhkit.training.stage import Context, Stage

_BATCH = 256  # always the same faces together, so that every run gets the same bits
_STREAM = 101  # of the draw that deals the faces


@STAGES.register_module()
class FitStage(Stage):
    """Instead of optimisation, for networks that are fitted in one pass (``partial_fit``, ``finalise``).

    Every training face is seen once: clean, neither flipped nor occluded. ``--budget`` does not scale it.

    Args:
        trains: ``upsampler`` or ``inpainter``, whose fit methods share.
        batch_size: faces at a time; no result depends on it.
    """

    main_only = True

    def __init__(self, trains: Literal["upsampler", "inpainter"] = "upsampler", batch_size: int = 256):
        super().__init__(iterations=1, batch_size=batch_size)
        if trains not in PIPELINE:
            raise OfhkitError(f"stage FitStage: trains one of {', '.join(PIPELINE)}, got {trains!r}", key="trains")
        self.trains, self.shared = trains, trains == "inpainter"

    def needed(self, model: Mapping[str, Any]) -> bool:
        part = model.get(self.trains)
        return part is not None and hasattr(ROLE_OF_KEY[self.trains].build(part), "partial_fit")

    def spec(self, context: Context) -> dict[str, Any]:
        covered = ("stage", "seed", "data", "degradation", self.trains)
        return {key: value for key, value in super().spec(context).items() if key in covered}

    def build(self, context: Context) -> None:
        setattr(self, self.trains, ROLE_OF_KEY[self.trains].build(context.model[self.trains]))

    def fit(self, context: Context) -> nn.Module:
        """Show the network every face once, and return it."""
        self.build(context)
        degrade = DEGRADATIONS.build(context.degradation, seed=context.seed).to(context.device)
        faces, network = context.train, self.network.to(context.device)
        for batch in each_face(faces, degrade, self.batch_size, f"[{self.name}] faces"):
            self.step(batch)
        network.finalise()
        return network

    def step(self, batch: dict[str, Tensor], optim: Any = None) -> dict[str, Tensor]:
        self.network.partial_fit(batch["lr_gt"], batch["hr"])
        return {}

    def predict(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.trains == "inpainter":
            return {"lr_filled": self.network(batch["lr"], batch["mask"])}
        return {"sr": self.network(batch["lr_gt"])}


def cross_fit(
    inpainter: Mapping[str, Any], folds: int, faces: Dataset, degrade: nn.Module, device: Any
) -> list[Fitted]:
    """Fit ``inpainter`` (a configuration) once for each fold, in one pass; the k-th knows all faces but fold k's.

    The processes of a job share the pass.
    """
    parts: list[Fitted] = [INPAINTERS.build(inpainter).to(device) for _ in range(folds)]
    for batch in each_face(faces, degrade, _BATCH, "faces, cross-fitted", rank(), world_size()):
        fold = fold_of(batch["index"], folds)
        for k, part in enumerate(parts):
            part.partial_fit(batch["lr_gt"][fold == k], batch["hr"][fold == k])
    return [_joined([p for k, p in enumerate(parts) if k != left_out]) for left_out in range(folds)]


def complete_crossed(networks: Sequence[nn.Module], lr: Tensor, mask: Tensor, index: Tensor) -> Tensor:
    """Fill the holes of training faces ``index`` (N,), each by the network of :func:`cross_fit` that knows it not.

    Shape:
        lr (N, C, H, W), mask (N, 1, H, W) -> (N, C, H, W)
    """
    filled, folds = torch.empty_like(lr), fold_of(index, len(networks))
    for fold, network in enumerate(networks):
        rows = (folds == fold).nonzero().squeeze(1)
        if len(rows):
            filled[rows] = network(lr[rows], mask[rows]).to(lr.dtype)
    return paste(lr, filled, mask)


def fold_of(index: Tensor, folds: int) -> Tensor:
    """Fold (N,) of the images ``index`` (N,), whatever numbers they have."""
    return hash_integers(folds, 0, index, _STREAM)


def _joined(parts: Sequence[Fitted]) -> Fitted:
    network = copy.deepcopy(parts[0])
    for part in parts[1:]:
        network.merge(part)
    network.finalise()
    return network


def each_face(
    faces: Dataset, degrade: nn.Module, batch_size: int, label: str, rank: int = 0, world_size: int = 1
) -> Iterator[dict[str, Tensor]]:
    """Batches degraded as in evaluation, every face in one of them; of several processes each gets its share."""
    bar = Progress(len(faces), label)
    for batch in in_batches(faces, batch_size, rank, world_size, bar.update):
        yield degrade(batch)
