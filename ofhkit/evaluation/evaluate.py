"""Scoring what predicts faces on a data set: the same few lines for validation, for tables and for sweeps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import Dataset

from ofhkit.data.sampler import in_batches
from ofhkit.errors import OfhkitError
from ofhkit.registry import METRICS
from ofhkit.runtime.distributed import rank, world_size


@dataclass(frozen=True)
class Scores:
    """Means over the images, and every image's own values.

    Attributes:
        means: metric -> mean.
        per_image: image index -> metric -> value.
    """

    means: dict[str, float]
    per_image: dict[int, dict[str, float]]


def evaluate(
    predict: Callable[[dict], dict],
    degrade: Callable[[dict], dict],
    dataset: Dataset,
    metrics: Sequence[Any],
    batch_size: int = 64,
) -> Scores:
    """Score one method on every face of ``dataset``; see :func:`evaluate_all`."""
    return evaluate_all([predict], degrade, dataset, metrics, batch_size)[0]


@torch.no_grad()
def evaluate_all(
    methods: Sequence[Callable[[dict], dict]],
    degrade: Callable[[dict], dict],
    dataset: Dataset,
    metrics: Sequence[Any],
    batch_size: int = 64,
    progress: Callable[[int], None] | None = None,
) -> list[Scores]:
    """Score several methods on the same tensors: a batch is degraded once, then every method and every metric sees it.

    The processes of a job share the batches. Each is whole and belongs to one process, so every image's values are
    those of one process alone.

    Args:
        methods: make of a degraded batch what metrics read beside it, such as ``sr``; with networks in eval mode.
        degrade: of role degradation, on the methods' device.
        metrics: of role metric, or their configurations.
        progress: told the number of faces after every batch.

    Raises:
        OfhkitError: the data set is empty, or a metric refuses what it is given.
    """
    if len(dataset) == 0:
        raise OfhkitError("there are no faces to score: this split is empty")
    built = [METRICS.build(metric) for metric in metrics]
    own = [[metric.another() for metric in built] for _ in methods]
    for faces in in_batches(dataset, batch_size, rank(), world_size(), progress):
        batch = degrade(faces)
        for predict, metrics_of_it in zip(methods, own):
            outputs = {**batch, **predict(batch)}
            for metric in metrics_of_it:
                metric.process(None, [outputs])
    return [_scores(metrics_of_it, len(dataset)) for metrics_of_it in own]


def _scores(metrics: Sequence[Any], size: int) -> Scores:
    means: dict[str, float] = {}
    per_image: dict[int, dict[str, float]] = {}
    for metric in metrics:
        means |= metric.evaluate(size)
        for index, values in metric.per_image.items():
            per_image.setdefault(index, {}).update(values)
    return Scores(means, per_image)
