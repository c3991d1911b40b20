"""Several processes as one job: who joins, what rank 0 does alone, what is averaged, how the job ends together.

Launchers start the same command N times; :func:`processes` joins them. Gradients are averaged by one all-reduce a
network (:class:`ofhkit.training.optim.Wrapper`), which stays right when sub-networks are trained in turn, called
twice or frozen in between; no network is wrapped, so the names in checkpoints are the same for any number of processes.
"""

import contextlib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ofhkit.errors import OfhkitError
from ofhkit.runtime import progress
from ofhkit.runtime.launchers import RankInfo, find_rank

_STEP_TIMEOUT = timedelta(minutes=30)  # one collective operation of a training step
_PATIENCE = timedelta(days=2)  # what rank 0 does alone: preparing data, fitting
_LOST = ("gloo", "nccl", "connection", "timed out", "socket", "broken pipe")

T = TypeVar("T")
_job: dict[str, Any] = {}  # of the running job: its store, and the group that waits


def rank() -> int:
    """This process's number in its job, 0 if it is alone."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """Number of processes in the job."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this process is the one that writes and prints."""
    return rank() == 0


@contextlib.contextmanager
def processes(launcher: str = "none", device: str = "auto") -> Iterator[None]:
    """Join the other processes of the job for the time of the block; does nothing for ``none``.

    What goes wrong is told by one process only. If a process is killed, the others end with one sentence.

    Args:
        launcher: none, pytorch (torchrun), slurm or mpi.
        device: as of ``--device``; each process takes its own GPU of its machine.

    Raises:
        OfhkitError: not started by that launcher, more processes than GPUs, nobody else came.
    """
    if launcher == "none":
        _refuse_unannounced()
        yield
        return
    info = find_rank(launcher)
    _join(info, device)
    stop = signal.signal(signal.SIGTERM, lambda *_: _end(info, "it was told to stop (SIGTERM)"))
    try:
        yield
    except (OfhkitError, KeyboardInterrupt) as error:
        if not _first_to_tell():
            raise SystemExit(2 if isinstance(error, OfhkitError) else 130) from None
        raise
    except RuntimeError as error:
        if not any(word in str(error).lower() for word in _LOST):
            raise
        _end(info, str(error).splitlines()[0])
    finally:
        signal.signal(signal.SIGTERM, stop)
        _job.clear()
        dist.destroy_process_group()  # else what is left of it may abort the process at its end
    progress.silence(False)


def _refuse_unannounced() -> None:
    """Fail if torchrun started several processes but ``--launcher`` was not given.

    Raises:
        OfhkitError: says what to add.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1":
        raise OfhkitError(f"torchrun started {os.environ['WORLD_SIZE']} processes: add --launcher pytorch")


def _join(info: RankInfo, device: str) -> None:
    if ":" in device:
        raise OfhkitError(f"--device {device}: each of several processes takes a GPU of its own; say --device cuda")
    cuda = torch.cuda.is_available() and device in ("auto", "cuda")
    if cuda:
        if info.local_rank >= torch.cuda.device_count():
            raise OfhkitError(
                f"process {info.local_rank} of this machine has no GPU: there are {torch.cuda.device_count()}; "
                "start as many processes a machine as it has GPUs, or use --device cpu"
            )
        torch.cuda.set_device(info.local_rank)
    elif device == "mps" or (device == "auto" and torch.backends.mps.is_available()):
        raise OfhkitError("several processes cannot share an Apple GPU: use --launcher none, or --device cpu")
    info.write_environment()
    try:
        store, number, total = next(dist.rendezvous("env://", info.rank, info.world_size, timeout=_STEP_TIMEOUT))
        store = dist.PrefixStore(f"ofhkit/{info.attempt}", store)  # torchrun's outlives the processes it restarts
        backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        dist.init_process_group(backend, store=store, rank=number, world_size=total, timeout=_STEP_TIMEOUT)
        _job.update(store=store, waiting=dist.new_group(backend="gloo", timeout=_PATIENCE))
    except (RuntimeError, ValueError) as error:
        raise OfhkitError(f"process {info.rank} cannot join the job at {info.address}: {error}") from None
    progress.silence(not is_main())


def _first_to_tell() -> bool:
    """Whether no other process has told the user yet why the job ends (true also if nobody can be asked)."""
    try:
        return _job["store"].add("told", 1) == 1
    except (RuntimeError, KeyError):
        return True


def _end(info: RankInfo, reason: str) -> None:
    reason = re.sub(r"^\[[^]]*\] ", "", reason).partition(". ")[0]  # without gloo's "[file:line] ", its first sentence
    if _first_to_tell():
        sys.__stderr__.write(
            f"error: process {info.rank} of {info.world_size} stops ({reason}): another process was killed or cannot "
            "be reached, or the job was cancelled; what is saved is kept, and the same command goes on from there\n"
        )
        sys.__stderr__.flush()
    raise SystemExit(2)


def on_main(function: Callable[[], T]) -> T:
    """Call ``function`` on rank 0 while the others wait, and return its (picklable) result everywhere.

    Raises:
        OfhkitError: rank 0 raised it; then all do.

    >>> on_main(lambda: 3)
    3
    """
    if world_size() == 1:
        return function()
    answer: list[Any] = [None, None]
    if is_main():
        try:
            answer[0] = function()
        except OfhkitError as error:
            answer[1] = error
    dist.broadcast_object_list(answer, src=0, group=_job.get("waiting"), device=torch.device("cpu"))
    if answer[1] is not None:
        raise answer[1]
    return answer[0]


def main_process_first(function: Callable[[], T]) -> T:
    """Call ``function`` on rank 0 and then, when what it prepares is there, on the others."""
    results: list[T] = []
    on_main(lambda: results.append(function()))
    return results[0] if results else function()


def gather(value: T) -> list[T]:
    """The (picklable) values of all processes, by rank; whoever is ready early waits for the others.

    >>> gather(3)
    [3]
    """
    if world_size() == 1:
        return [value]
    found: list[Any] = [None] * world_size()
    dist.all_gather_object(found, value, group=_job.get("waiting"))
    return found


def average(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Means of scalars over the processes, in one all-reduce and without waiting for the device."""
    if world_size() == 1 or not values:
        return dict(values)
    together = torch.stack([value.detach() for value in values.values()])
    dist.all_reduce(together)
    return dict(zip(values, (together / world_size()).unbind()))


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the processes: of equal shares, that of the global batch."""
    if world_size() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    for dtype in dict.fromkeys(g.dtype for g in gradients):  # in an order that all processes share
        chosen = [g for g in gradients if g.dtype == dtype]
        flat = torch.cat([g.reshape(-1) for g in chosen])
        dist.all_reduce(flat)
        flat /= world_size()
        for gradient, part in zip(chosen, flat.split([g.numel() for g in chosen])):
            gradient.copy_(part.view(gradient.shape))
