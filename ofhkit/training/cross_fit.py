"""A fitted inpainter that has not seen the faces it completes, for the upsampler that learns from its completions.

Moments that hold a face complete it better than those of other faces do. An upsampler that learns from them meets only
holes that are filled too well. So the faces are dealt into folds, and each is completed by what was fitted to the other
folds. What is delivered, and validated, is fitted to all faces.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ofhkit.data.sampler import fetch
from ofhkit.functional.masks import hash_integers, paste
from ofhkit.models.fitted import Fitted
from ofhkit.registry import INPAINTERS
from ofhkit.runtime.distributed import rank, world_size
from ofhkit.runtime.progress import Progress

_BATCH = 256  # always the same faces together, so that every run gets the same bits
_STREAM = 101  # of the draw that deals the faces


class CrossFitted:
    """One inpainter a fold, which knows all faces but that fold's; a face's fold is a function of its ``index``.

    Args:
        networks: fold k's completes the faces of fold k.
    """

    def __init__(self, networks: Sequence[nn.Module]):
        self.networks = networks

    def complete(self, lr: Tensor, mask: Tensor, index: Tensor) -> Tensor:
        """Fill the holes of training faces ``index`` (N,): lr (N, C, H, W), mask (N, 1, H, W) -> (N, C, H, W)."""
        filled, folds = torch.empty_like(lr), fold_of(index, len(self.networks))
        for fold, network in enumerate(self.networks):
            rows = (folds == fold).nonzero().squeeze(1)
            if len(rows):
                filled[rows] = network(lr[rows], mask[rows]).to(lr.dtype)
        return paste(lr, filled, mask)


def fold_of(index: Tensor, folds: int) -> Tensor:
    """Fold (N,) of the images ``index`` (N,), whatever numbers they have."""
    return hash_integers(folds, 0, index, _STREAM)


def cross_fit(inpainter: Mapping[str, Any], folds: int, faces: Dataset, degrade: nn.Module, device: Any) -> CrossFitted:
    """Fit ``inpainter`` (a configuration) once for each fold, in one pass over the faces.

    The processes of a job share the pass.
    """
    parts: list[Fitted] = [INPAINTERS.build(inpainter).to(device) for _ in range(folds)]
    for batch in each_face(faces, degrade, _BATCH, "faces, cross-fitted", rank(), world_size()):
        fold = fold_of(batch["index"], folds)
        for k, part in enumerate(parts):
            part.partial_fit(batch["lr_gt"][fold == k], batch["hr"][fold == k])
    return CrossFitted([_joined([p for k, p in enumerate(parts) if k != left_out]) for left_out in range(folds)])


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
    for start in range(0, len(faces), batch_size):
        indices = range(start, min(start + batch_size, len(faces)))
        if start // batch_size % world_size == rank:
            yield degrade(fetch(faces, indices))
        bar.update(len(indices))
