"""Which of several equal ways to compute something may run, and which is the fastest, measured once per key.

Triton kernels run on CUDA tensors, or anywhere under Triton's interpreter (``TRITON_INTERPRET=1``).
"""

import contextlib
import functools
import importlib.util
import os
import time
import warnings
from collections.abc import Callable, Hashable, Sequence
from functools import partial

import torch
from torch import Tensor


@functools.cache
def installed() -> bool:
    """Whether Triton is there (it is not on macOS and Windows)."""
    return importlib.util.find_spec("triton") is not None


def usable(x: Tensor) -> bool:
    """Whether Triton kernels can run on ``x``."""
    return installed() and (x.is_cuda or os.environ.get("TRITON_INTERPRET") == "1")


def takes(x: Tensor) -> bool:
    """Whether Triton kernels can run on ``x`` and know its precision."""
    return x.dtype != torch.float64 and usable(x)


def device_of(x: Tensor) -> contextlib.AbstractContextManager:
    """Return the context in which a kernel for ``x`` must be launched."""
    return torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()


def output_like(x: Tensor, channels: int, factor: int, channels_last: bool) -> Tensor:
    """Return an empty map with ``factor`` times the side of ``x``, in the layout asked for."""
    count, _, height, width = x.shape
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty(
        (count, channels, factor * height, factor * width), dtype=x.dtype, device=x.device, memory_format=layout
    )


_chosen: dict[Hashable, str] = {}


def fastest(key: Hashable, candidates: dict[str, Callable[[], Tensor]], rounds: int = 3) -> Tensor:
    """Return the result of the fastest candidate: see :func:`choose`."""
    return candidates[choose(key, candidates, rounds)]()


def choose(key: Hashable, candidates: dict[str, Callable[[], Tensor]], rounds: int = 3) -> str:
    """Return the fastest candidate's name; the first is the reference, used also while a graph is captured.

    A candidate that fails or differs from the reference by more than rounding is left out, with a warning.
    """
    reference, *others = candidates
    if key in _chosen:
        return _chosen[key]
    if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
        return reference
    expected = candidates[reference]()
    if not (expected.numel() and expected.isfinite().all()):
        return reference  # nothing to compare with; the next call may bring it
    times = {reference: _time(candidates[reference], rounds)}
    tolerance = {torch.float32: 5e-3, torch.float64: 1e-9}.get(expected.dtype, 5e-2)  # tf32 may be allowed
    for name in others:
        try:
            difference = (candidates[name]().float() - expected.float()).abs().max()
            if not difference <= tolerance * max(1.0, float(expected.float().abs().max())):
                raise ValueError(f"differs by {float(difference):.1e}")
            times[name] = _time(candidates[name], rounds)
        except Exception as error:  # whatever a compiler or a driver raises: the reference is there
            warnings.warn(f"{name} is not used for {key}: {error}", stacklevel=2)
    _chosen[key] = min(times, key=times.__getitem__)
    return _chosen[key]


def may_measure(x: Tensor) -> bool:
    """Whether ``'auto'`` may time the ways to compute on ``x``: on CUDA, unless results must not depend on timings."""
    if torch.compiler.is_compiling() or torch.are_deterministic_algorithms_enabled():
        return False
    return x.is_cuda and x.numel() > 0


def key_of(x: Tensor) -> tuple[Hashable, ...]:
    """Return what times depend on besides the weights."""
    last = x.is_contiguous(memory_format=torch.channels_last)
    half = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else None
    return x.device, x.dtype, x.shape, last, half, torch.backends.cudnn.allow_tf32


def choose_way(
    key: Hashable, ways: Sequence[str], call: Callable[[str], tuple[Tensor, ...]], inputs: Sequence[Tensor]
) -> str:
    """Return the fastest of ``ways``, timed with the gradients of those ``inputs`` that want one: see :func:`choose`.

    Args:
        call: computes in the way named; of its results the first is compared with the reference's.
    """
    wanted = [t for t in inputs if t.requires_grad] if torch.is_grad_enabled() else []

    def trial(way: str) -> Tensor:
        results = call(way)
        if wanted:
            torch.autograd.grad(results, wanted, [torch.ones_like(y) for y in results])
        return results[0].detach()

    return choose((key, len(wanted)), {way: partial(trial, way) for way in ways})


def _time(call: Callable[[], Tensor], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        _wait()
        start = time.perf_counter()
        call()
        _wait()
        best = min(best, time.perf_counter() - start)
    return best


def _wait() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
