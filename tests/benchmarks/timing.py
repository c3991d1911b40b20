"""Interleaved timing of several ways to do the same thing, and the table made of it."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ofhkit.ops.jit_c import processor_name


@dataclass
class Table:
    """One benchmark's result: rows of named values, the ceilings measured beside them, and where it ran."""

    title: str
    rows: list[dict] = field(default_factory=list)
    ceilings: dict[str, float] = field(default_factory=dict)
    environment: dict = field(default_factory=dict)

    def markdown(self) -> str:
        """Return the table with its ceilings and environment as Markdown."""
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        lines = [f"## {self.title}", "", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(_show(row.get(key, "")) for key in columns) + " |" for row in self.rows]
        lines += ["", "Measured in the same loop: " + "; ".join(f"{k} {_show(v)}" for k, v in self.ceilings.items())]
        lines += ["Environment: " + "; ".join(f"{k} {_show(v)}" for k, v in self.environment.items()), ""]
        return "\n".join(lines)


def environment(device: torch.device) -> dict:
    """Return what a reader must know to compare numbers."""
    found = {"torch": torch.__version__, "threads": torch.get_num_threads(), "processor": processor_name()}
    found["vectors"] = torch.backends.cpu.get_cpu_capability()
    if device.type == "cuda":
        found["device"] = torch.cuda.get_device_name(device)
    found["load average"] = os.getloadavg()[0] if hasattr(os, "getloadavg") else "unknown"
    return found


def interleave(
    variants: Mapping[str, Callable[[], object]], rounds: int = 5, device: torch.device | None = None
) -> dict[str, float]:
    """Return each variant's median time in seconds; every turn is one untimed and one timed call of each.

    >>> sorted(interleave({'a': lambda: None, 'b': lambda: None}, rounds=1))
    ['a', 'b']
    """
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, call in variants.items():
            call()
            synchronize(device)
            start = time.perf_counter()
            call()
            synchronize(device)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def synchronize(device: torch.device | None) -> None:
    """Wait for the device."""
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


def ceilings(device: torch.device, dtype: torch.dtype = torch.float32) -> dict[str, tuple[Callable, float, str]]:
    """Return (call, work of one call, unit) of the matrix product, the 3x3 convolution and the copy to compare with."""
    large = device.type == "cuda"
    n = 8192 if large else 1024
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    images = 64 if large else 2
    x = torch.randn(images, 256, 32, 32, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)
    conv = torch.nn.Conv2d(256, 256, 3, padding=1, bias=False).to(device, dtype, memory_format=torch.channels_last)
    block = torch.empty(2**28 if large else 2**23, device=device, dtype=dtype)
    target = torch.empty_like(block)
    name = str(dtype).removeprefix("torch.")
    return {
        f"{name} matrix product": (lambda: a @ b, 2e-9 * n**3, "GFLOP/s"),
        f"{name} 3x3 convolution": (
            torch.no_grad()(lambda: conv(x)), 2e-9 * images * 32 * 32 * 256 * 256 * 9, "GFLOP/s",
        ),
        f"{name} copy": (lambda: target.copy_(block), 2e-9 * block.numel() * block.element_size(), "GB/s"),
    }  # fmt: skip


def measure(
    variants: Mapping[str, Callable[[], object]], rounds: int, device: torch.device, dtype: torch.dtype = torch.float32
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the variants' median seconds and the ceilings' rates, all measured in one loop."""
    limits = ceilings(device, dtype)
    with torch.random.fork_rng(devices=[]):
        times = interleave({**variants, **{name: call for name, (call, _, _) in limits.items()}}, rounds, device)
    rates = {f"{name} ({unit})": work / times.pop(name) for name, (_, work, unit) in limits.items()}
    return times, rates


def write(name: str, tables: list[Table], out: Path) -> None:
    """Print the tables and write ``name.md`` and ``name.json`` into ``out``."""
    text = "\n".join(table.markdown() for table in tables)
    print(text)
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.md").write_text(text, encoding="utf-8")
    (out / f"{name}.json").write_text(json.dumps([vars(table) for table in tables], indent=1), encoding="utf-8")
    print(f"written: {out / f'{name}.md'} and .json")


def _show(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
