"""Scoring what predicts faces on a data set: the same few lines for validation, for tables and for sweeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import Dataset

from ofhkit.data.sampler import fetch
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


@torch.no_grad()
def evaluate(
    predict: Callable[[dict], dict],
    degrade: Callable[[dict], dict],
    dataset: Dataset,
    metrics: Sequence[Any],
    batch_size: int = 64,
    progress: Callable[[int], None] | None = None,
) -> Scores:
    """Hallucinate every face of ``dataset`` once and score it; the processes of a job share the batches.

    Each batch is whole and belongs to one process, so every image's values are those of one process alone.

    Args:
        predict: makes of a degraded batch what metrics read beside it, such as ``sr``; with networks in eval mode.
        degrade: of role degradation, on the device of ``predict``.
        metrics: of role metric, or their configurations.
        progress: told the number of faces after every batch.

    Raises:
        OfhkitError: the data set is empty, or a metric refuses what it is given.
    """
    if len(dataset) == 0:
        raise OfhkitError("there are no faces to score: this split is empty")
    built = [METRICS.build(metric) for metric in metrics]
    for number, start in enumerate(range(0, len(dataset), batch_size)):
        indices = range(start, min(start + batch_size, len(dataset)))
        if number % world_size() == rank():
            batch = degrade(fetch(dataset, indices))
            outputs = {**batch, **predict(batch)}
            for metric in built:
                metric.process(None, [outputs])
        if progress is not None:
            progress(len(indices))
    means: dict[str, float] = {}
    per_image: dict[int, dict[str, float]] = {}
    for metric in built:
        means |= metric.evaluate(len(dataset))
        for index, values in metric.per_image.items():
            per_image.setdefault(index, {}).update(values)
    return Scores(means, per_image)
