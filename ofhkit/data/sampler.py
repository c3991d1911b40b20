"""Which images make up which batch, and how batches reach the device.

A batch is a function of (seed, iteration) alone, so that a resumed run seeks, never replays.

``sample_id`` counts training samples over the whole stage: iteration i of global batch size B takes the samples
i*B … (i+1)*B - 1, and rank r of W takes its contiguous share of them. Sample s is image ``permutation(epoch)[s mod n]``
with epoch = s // n.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset, default_collate

from ofhkit.errors import OfhkitError
from ofhkit.runtime.progress import log


def fetch(dataset: Dataset, indices: Sequence[int]) -> dict:
    """Return the items at ``indices`` as one batch, by the data set's own ``__getitems__`` where it has one.

    >>> fetch([dict(x=1), dict(x=2)], [1, 0])['x'].tolist()
    [2, 1]
    """
    if hasattr(dataset, "__getitems__"):
        items = dataset.__getitems__(list(indices))
        return items if isinstance(items, dict) else default_collate(items)
    return default_collate([dataset[i] for i in indices])


def in_batches(
    dataset: Dataset,
    size: int,
    rank: int = 0,
    world_size: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Iterator[dict]:
    """Yield a data set's items once and in order, ``size`` together; of several processes each gets its batches.

    Args:
        progress: told the number of items after every batch, whosever it is.

    >>> [batch['x'].tolist() for batch in in_batches([dict(x=1), dict(x=2), dict(x=3)], 2)]
    [[1, 2], [3]]
    """
    for number, start in enumerate(range(0, len(dataset), size)):
        indices = range(start, min(start + size, len(dataset)))
        if number % world_size == rank:
            yield fetch(dataset, indices)
        if progress is not None:
            progress(len(indices))


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


_CHUNK = 1024  # faces read at a time
_SHARE = 0.5  # of the free memory that a data set may take


class Prefetcher:
    """Iterate over a loader, copying each batch to a CUDA device on a side stream while the one before is computed on.

    On other devices, and without ``prefetch``, batches pass through as they are.

    Args:
        loader: of :func:`ofhkit.data.sampler.training_loader`, in pinned memory where copies are to overlap.
        device: of the model.

    Attributes:
        waited: seconds spent waiting for the loader since the start.

    >>> [b['x'].item() for b in Prefetcher([dict(x=torch.tensor(1)), dict(x=torch.tensor(2))], torch.device('cpu'))]
    [1, 2]
    """

    def __init__(self, loader: Iterable[dict], device: torch.device, prefetch: bool = True):
        self.loader, self.device = loader, device
        self.side = torch.cuda.Stream(device) if prefetch and device.type == "cuda" else None
        self.waited = 0.0

    def starting_at(self, iteration: int) -> Prefetcher:
        """Seek: the first batch will be that of ``iteration``."""
        self.loader.batch_sampler.start = iteration  # type: ignore[attr-defined]
        return self

    def __iter__(self) -> Iterator[dict]:
        return self._read() if self.side is None else self._ahead()

    def _read(self) -> Iterator[dict]:
        source = iter(self.loader)
        while True:
            start = time.perf_counter()
            batch = next(source, None)
            self.waited += time.perf_counter() - start
            if batch is None:
                return
            yield batch

    def _ahead(self) -> Iterator[dict]:
        ready = None
        for batch in self._read():
            with torch.cuda.stream(self.side):
                moved = {
                    key: value.to(self.device, non_blocking=True) if isinstance(value, Tensor) else value
                    for key, value in batch.items()
                }
                copied = torch.cuda.Event()
                copied.record()
            if ready is not None:
                yield self._hand_over(*ready)
            ready = moved, copied
        if ready is not None:
            yield self._hand_over(*ready)

    def _hand_over(self, batch: dict, copied: torch.cuda.Event) -> dict:
        """Make the computing stream, not the host, wait for the copy."""
        stream = torch.cuda.current_stream(self.device)
        stream.wait_event(copied)
        for value in batch.values():
            if isinstance(value, Tensor):
                value.record_stream(stream)
        return batch


class DeviceCachedDataset(Dataset):
    """A data set whose items lie on the device, read once; a batch is one gather there.

    Args:
        dataset: its items are dicts of tensors and numbers.
        device: where to keep them.

    >>> from ofhkit.data.sampler import fetch
    >>> fetch(DeviceCachedDataset([dict(x=1), dict(x=2)], torch.device('cpu')), [1, 0, 1])['x'].tolist()
    [2, 1, 2]
    """

    def __init__(self, dataset: Dataset, device: torch.device):
        self.length, self.device = len(dataset), device
        one = fetch(dataset, [0])
        self.items = {k: torch.empty((self.length, *v.shape[1:]), dtype=v.dtype, device=device) for k, v in one.items()}
        for start in range(0, self.length, _CHUNK):
            indices = range(start, min(start + _CHUNK, self.length))
            for key, value in fetch(dataset, indices).items():
                self.items[key][start : indices.stop] = value

    def __len__(self) -> int:
        return self.length

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        chosen = torch.tensor(indices).to(self.device, non_blocking=True)
        return {key: value.index_select(0, chosen) for key, value in self.items.items()}


def keep_on_device(dataset: Dataset, device: torch.device) -> Dataset:
    """Return ``dataset`` as it lies on a CUDA device, or itself after logging why it does not."""
    if device.type != "cuda":
        log.info("data.on_device: %s computes where the faces are read; they stay where they are", device.type)
        return dataset
    needed = sum(v.nbytes for v in fetch(dataset, [0]).values()) * len(dataset)
    free = torch.cuda.mem_get_info(device)[0]
    if needed > _SHARE * free:
        line = "data.on_device: the faces take %.1f of %.1f GB free; they are read as usual"
        log.info(line, needed / 1e9, free / 1e9)
        return dataset
    return DeviceCachedDataset(dataset, device)
