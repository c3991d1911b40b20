"""The processor this runs on: its name for a table, and what compiled kernels depend on."""

from __future__ import annotations

import platform
from pathlib import Path

import torch


def processor_name() -> str:
    """Return what the system calls the processor.

    >>> processor_name() != ''
    True
    """
    named = (line.partition(":")[2].strip() for line in _lines("model name"))
    return next(named, platform.processor() or platform.machine() or "unknown")


def processor_features() -> str:
    """Return all that code compiled for this processor alone depends on."""
    lines = {*_lines("model name", "flags", "Features", "CPU part")}
    return "\n".join([platform.machine(), platform.processor(), *sorted(lines)])


def device_name(device: torch.device) -> str:
    """Return what the machine calls ``device``, with the number of threads for a CPU.

    >>> device_name(torch.device('cpu')).endswith(('thread', 'threads'))
    True
    """
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return f"{platform.machine()} ({device.type})"
    threads = torch.get_num_threads()
    return f"{processor_name()}, {threads} thread{'s' if threads > 1 else ''}"


def _lines(*beginnings: str) -> list[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return []
    return [line for line in lines if line.startswith(beginnings)]
