"""Which images make up which batch: a function of (seed, iteration) alone, so that a resumed run seeks, never replays.

``sample_id`` counts training samples over the whole stage: iteration i of global batch size B takes the samples
i*B … (i+1)*B - 1, and rank r of W takes its contiguous share of them. Sample s is image ``permutation(epoch)[s mod n]``
with epoch = s // n.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Subset, default_collate

from ofhkit.errors import OfhkitError


def fetch(dataset: Dataset, indices: Sequence[int]) -> dict:
    """Return the items at ``indices`` as one batch, by the data set's own ``__getitems__`` where it has one.

    >>> fetch([dict(x=1), dict(x=2)], [1, 0])['x'].tolist()
    [2, 1]
    """
    if hasattr(dataset, "__getitems__"):
        items = dataset.__getitems__(list(indices))
        return items if isinstance(items, dict) else default_collate(items)
    return default_collate([dataset[i] for i in indices])


def first(dataset: Dataset, number: int) -> Dataset:
    """The first ``number`` items of a data set (all of them where it has fewer)."""
    return Subset(dataset, range(min(number, len(dataset))))


class ShuffledDataset(Dataset):
    """A data set indexed by sample instead of by image; each batch carries its ``sample_id`` (N,) int64.

    Args:
        dataset: the images.
        seed: of the order.

    Raises:
        OfhkitError: the data set is empty.
    """

    def __init__(self, dataset: Dataset, seed: int):
        if len(dataset) == 0:
            raise OfhkitError("the training split is empty: prepare more faces or choose another split")
        self.dataset, self.seed = dataset, seed
        self._orders: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.dataset)

    def indices(self, samples: Sequence[int]) -> list[int]:
        """Image indices of these samples."""
        return [int(self._order(s // len(self))[s % len(self)]) for s in samples]

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            self._orders = {e: order for e, order in self._orders.items() if e == epoch - 1}
            generator = np.random.Generator(np.random.Philox(key=[self.seed, epoch]))
            self._orders[epoch] = generator.permutation(len(self))
        return self._orders[epoch]

    def __getitems__(self, samples: Sequence[int]) -> dict:
        batch = fetch(self.dataset, self.indices(samples))
        batch["sample_id"] = torch.tensor(samples)
        return batch


class SeekableBatchSampler:
    """Batch sampler over ``sample_id``; set ``start`` to the iteration to begin at.

    Args:
        batch_size: global batch size, over all ranks.
        iterations: total number.
        rank, world_size: this process's share.

    Raises:
        OfhkitError: the global batch does not divide by the number of processes.
    """

    def __init__(self, batch_size: int, iterations: int, rank: int = 0, world_size: int = 1):
        if batch_size % world_size:
            raise OfhkitError(
                f"batch_size {batch_size} does not divide among {world_size} processes: set stages.<stage>.batch_size "
                f"to a multiple of {world_size} with --cfg-options, or start another number of processes"
            )
        self.batch_size, self.iterations, self.start = batch_size, iterations, 0
        self.share = batch_size // world_size
        self.offset = rank * self.share

    def __len__(self) -> int:
        return self.iterations - self.start

    def __iter__(self) -> Iterator[list[int]]:
        for iteration in range(self.start, self.iterations):
            first = iteration * self.batch_size + self.offset
            yield list(range(first, first + self.share))


def _as_is(batch: dict) -> dict:
    return batch


def training_loader(
    dataset: Dataset,
    seed: int,
    batch_size: int,
    iterations: int,
    num_workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    pin_memory: bool = False,
) -> DataLoader:
    """Return the loader of one stage; its ``batch_sampler.start`` seeks."""
    return DataLoader(
        ShuffledDataset(dataset, seed),
        batch_sampler=SeekableBatchSampler(batch_size, iterations, rank, world_size),
        num_workers=num_workers,
        collate_fn=_as_is,
        pin_memory=pin_memory,
        persistent_workers=False,
    )
