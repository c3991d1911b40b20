"""Keep measuring code exact: no autocast, no TF32, no surprise from a cached constant.

Training may run under ``torch.autocast`` or with ``torch.set_float32_matmul_precision('high')``; the low-resolution
face and the scores must not change with it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

__all__ = ["constant", "measuring_dtype", "no_autocast"]

_constants: dict[tuple, Tensor] = {}


def no_autocast(device: torch.device) -> AbstractContextManager:
    """Return a context in which autocast is off on ``device``.

    >>> with no_autocast(torch.device('cpu')): (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.float32
    """
    return torch.autocast(device.type, enabled=False)


def measuring_dtype(*tensors: Tensor) -> torch.dtype:
    """Return the type to measure ``tensors`` in: float64 if one is, else float32 unless its matmuls are truncated.

    Where float32 matrix products are allowed to drop bits (TF32 on CUDA, bfloat16 on a CPU) the answer is float64.

    >>> measuring_dtype(torch.zeros(1, dtype=torch.bfloat16))
    torch.float32
    """
    wide = any(t.dtype == torch.float64 for t in tensors) or (_truncated() and tensors[0].device.type != "mps")
    return torch.float64 if wide else torch.float32


def _truncated() -> bool:
    """Whether float32 matrix products may drop bits somewhere."""
    try:
        return torch.get_float32_matmul_precision() != "highest"
    except RuntimeError:  # set by the newer torch.backends switches, which this question then refuses to sum up
        return True


def constant(key: tuple, build: Callable[[], np.ndarray], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return ``build()`` as a tensor, kept for the next call with the same ``key``, ``dtype`` and ``device``.

    The tensor is an ordinary one even when first asked for in inference mode, so that later gradients may pass;
    a fake tensor (tracing) is handed out but not kept.
    """
    key = (*key, dtype, device)
    if key in _constants:
        return _constants[key]
    with torch.inference_mode(False), torch.no_grad():
        value = torch.tensor(build(), dtype=dtype, device=device)
    if type(value) is Tensor:
        _constants[key] = value
    return value
