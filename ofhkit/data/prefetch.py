"""Batches on their way to the device: one ahead on a side stream, or from a data set that lives on the device."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ofhkit.data.sampler import fetch
from ofhkit.runtime.progress import log

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
                moved = {key: _to(value, self.device) for key, value in batch.items()}
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


def _to(value: Any, device: torch.device) -> Any:
    return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value


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
