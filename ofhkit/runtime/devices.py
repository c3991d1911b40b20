"""Which device is asked for, where a model is, and how precisely a device computes."""

from __future__ import annotations

import ctypes
import sys

import torch
from torch import nn

from ofhkit.errors import OfhkitError

__all__ = ["amp_dtype", "device_of", "pick_device", "reseed", "set_tf32"]


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


def reseed(seed: int, device: torch.device) -> None:
    """Set the generators that a model on ``device`` draws from (``torch.manual_seed`` sets all, which costs more)."""
    torch.default_generator.manual_seed(seed)
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).manual_seed(seed)


def amp_dtype(device: torch.device) -> tuple[torch.dtype | None, str]:
    """Return the mixed-precision type that a device is good at (or None), and one line that says so."""
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return torch.bfloat16, "AMP: bfloat16"
        return torch.float16, "AMP: float16 with gradient scaling"
    if device.type == "cpu":
        tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        if any(getattr(torch.cpu, test, lambda: False)() for test in tests):
            return torch.bfloat16, "AMP: bfloat16"
        return None, "AMP: this CPU has no bfloat16 instructions, training stays in float32"
    return None, f"AMP: not used on {device.type}, training stays in float32"


def set_tf32(allowed: bool | None) -> None:
    """Allow or forbid TF32 in matrix products and convolutions on CUDA; None leaves both as torch has them."""
    if allowed is not None:
        torch.backends.cuda.matmul.allow_tf32 = allowed
        torch.backends.cudnn.allow_tf32 = allowed


_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # parameters of glibc's mallopt


def set_malloc_policy() -> bool:
    """Tell the C library to keep freed memory, so that large activations are not mapped anew in every step.

    glibc maps every block above 32 MB on its own and gives it back when it is freed; the next allocation then pays
    one page fault for each of its pages. Afterwards freed blocks are reused instead; the process holds on to its peak.
    Values do not change.

    Returns:
        Whether the C library understood (glibc does; elsewhere nothing happens).

    >>> set_malloc_policy() in (True, False)
    True
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, 2**31 - 1))
