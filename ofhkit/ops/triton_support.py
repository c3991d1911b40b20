"""When Triton kernels may run: on CUDA tensors, or anywhere under Triton's interpreter (``TRITON_INTERPRET=1``)."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os

import torch
from torch import Tensor


@functools.cache
def installed() -> bool:
    """Whether Triton is there (it is not on macOS and Windows)."""
    return importlib.util.find_spec("triton") is not None


def usable(x: Tensor) -> bool:
    """Whether Triton kernels can run on ``x``.

    >>> usable(torch.zeros(1)) == (os.environ.get('TRITON_INTERPRET') == '1' and installed())
    True
    """
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
