"""Which device is asked for, and where a model is."""

from __future__ import annotations

import torch
from torch import nn

from ofhkit.errors import OfhkitError

__all__ = ["device_of", "pick_device"]


def device_of(model: nn.Module) -> torch.device:
    """Where a model's tensors are; the CPU where it has none.

    >>> device_of(nn.ReLU())
    device(type='cpu')
    """
    return next((t.device for t in (*model.parameters(), *model.buffers())), torch.device("cpu"))


def pick_device(name: str = "auto") -> torch.device:
    """Return the device called ``auto``, ``cpu``, ``cuda`` (also ``cuda:1``) or ``mps``.

    Raises:
        OfhkitError: it is not there.
    """
    mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    kind = name.partition(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise OfhkitError(f"--device takes auto, cpu, cuda or mps, got {name!r}")
    if (kind == "cuda" and not torch.cuda.is_available()) or (kind == "mps" and not mps):
        raise OfhkitError(f"--device {name}: this machine (or this build of torch) has no {kind}; use --device auto")
    return torch.device(name)
