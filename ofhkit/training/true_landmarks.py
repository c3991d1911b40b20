"""What the frozen landmark network says of the true faces: asked once before a long training, not in each iteration."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ofhkit.data.degradation import Degradation
from ofhkit.data.sampler import in_batches
from ofhkit.errors import OfhkitError
from ofhkit.runtime.distributed import gather, is_main, on_main, rank, world_size
from ofhkit.runtime.progress import Progress
from ofhkit.zoo.weights import load_weights, save_weights

TRUE_LANDMARKS = "true_landmarks.safetensors"
_BATCH = 64  # always the same faces together, so that every run gets the same bits
_WORTH = 2  # times that each face is at least shown in training


class LandmarkTable(nn.Module):
    """Landmarks of training faces and of their mirror images, by the ``index`` of the image.

    Args:
        index: (N,) int64, all different, in any order.
        points: (N, V, P, 2) in pixels; V = 2 with mirror images, 1 without.

    Raises:
        OfhkitError: two images have the same index.

    >>> table = LandmarkTable(torch.tensor([7, 3]), torch.tensor([[[[1., 2.]]], [[[3., 4.]]]]))
    >>> table(torch.tensor([3, 7, 3]), torch.tensor([False, False, False]))[:, 0, 0].tolist()
    [3.0, 1.0, 3.0]
    """

    def __init__(self, index: Tensor, points: Tensor):
        super().__init__()
        index, order = index.sort()
        if (again := index[1:][index.diff() == 0]).numel():
            raise OfhkitError(f"the training data has several images with index {again[0]}: give each image its own")
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("points", points[order], persistent=False)

    def forward(self, index: Tensor, mirrored: Tensor) -> Tensor:
        """Look up (N,) images, each as it is or mirrored: (N, P, 2)."""
        return self.points[torch.searchsorted(self.index, index), mirrored.long()]


def worth_a_table(degrade: nn.Module, faces: int, shown: int) -> bool:
    """Whether asking once is less work than asking in training, and gives the same answers.

    Args:
        degrade: what the faces go through.
        faces: how many there are.
        shown: how often a face is shown in all, counting repetitions.
    """
    # another degradation may show other faces than those of the data set
    return type(degrade) is Degradation and shown >= _WORTH * faces * degrade.views


def true_landmarks(
    prior: nn.Module, degrade: Degradation, dataset: Dataset, device: torch.device, file: Path
) -> LandmarkTable:
    """Ask ``prior`` about every face, or read the answers that an interrupted run left in ``file``.

    The processes of a job share the work. The answers are in float32, whatever the training's precision.
    """
    found = on_main(lambda: _read(file))
    if found is None:
        answers = [answer for part in gather(_ask(prior, degrade, dataset, device)) for answer in part]
        found = tuple(map(torch.cat, zip(*answers)))
        if is_main():
            save_weights(file, dict(zip(("index", "points"), found)), {"what": "landmarks of the true faces"})
    return LandmarkTable(*found).to(device)


@torch.no_grad()
def _ask(prior: nn.Module, degrade: Degradation, dataset: Dataset, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    bar = Progress(len(dataset), "landmarks of the true faces")
    answers = []
    for batch in in_batches(dataset, _BATCH, rank(), world_size(), bar.update):
        faces = degrade.true_faces(batch["hr"].to(device))
        views = [faces, faces.flip(-1)][: degrade.views]
        points = torch.stack([prior(view).float().cpu() for view in views], dim=1)
        answers.append((batch["index"].cpu(), points))
    return answers


def _read(file: Path) -> tuple[Tensor, Tensor] | None:
    try:
        tensors, _ = load_weights(file)
        return tensors["index"], tensors["points"]
    except (OfhkitError, KeyError):  # none yet, or torn: it is made anew
        return None
