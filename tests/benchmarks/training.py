"""A training step of OFHNet's upsampler with its discriminator and landmark prior: naive against lean."""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.inference import WIDTHS
from benchmarks.plain import PlainUpsampler, plain_step, update, without_products
from benchmarks.timing import Table, environment, measure
from ofhkit.models.discriminators.face_discriminator import FaceDiscriminator
from ofhkit.models.landmark_priors.fan_zhou import FanZhou
from ofhkit.models.losses.semantic_structure import SemanticStructureLoss
from ofhkit.models.upsamplers.residual import ResidualUpsampler
from ofhkit.runtime.devices import amp_dtype, set_malloc_policy

CPU = torch.device("cpu")
ALPHA, BETA = 1e-3, 0.1  # of the adversarial and the structure term
VARIANTS: dict[str, dict[str, Any]] = {
    "naive": {},
    "one forward": dict(lean=True),
    "one forward, channels_last": dict(lean=True, layout=torch.channels_last),
    "ofhkit": dict(lean=True, layout=torch.channels_last, ops=True),
    "one forward, channels_last, bfloat16": dict(lean=True, layout=torch.channels_last, amp=True),
    "ofhkit, bfloat16": dict(lean=True, layout=torch.channels_last, ops=True, amp=True),
    "ofhkit, torch.compile": dict(lean=True, layout=torch.channels_last, ops=True, compiled=True),
}


def run(
    device: torch.device, batches: tuple[int, ...], rounds: int, compiled: bool, precision: str = "float32"
) -> list[Table]:
    """Return a table for each set of widths; on a CPU another, with freed memory kept as in ``tools/train.py``."""
    names = choose(device, compiled, precision)
    titles = [""] if device.type != "cpu" else [", C library as it is", ", freed memory kept"]
    tables = []
    for title in titles:
        if title == titles[-1] and device.type == "cpu":
            set_malloc_policy()  # for all variants; there is no way back, so it comes last
        for channels in WIDTHS:
            table = Table(f"Training step, upsampler {'/'.join(map(str, channels))}{title}")
            for batch in batches:
                steps = {name: Step(channels, batch, device, **VARIANTS[name]) for name in names}
                times, table.ceilings = measure(steps, rounds, device)
                for name, seconds in times.items():
                    row = {"batch": batch, "variant": name, "ms": 1e3 * seconds, "images/s": batch / seconds}
                    row |= {"x naive": times["naive"] / seconds}
                    table.rows.append(row | peak_memory(channels, batch, device, name, keep=title == titles[-1]))
            table.environment = environment(device)
            tables.append(table)
    return tables


def choose(device: torch.device, compiled: bool, precision: str) -> list[str]:
    """Names of the variants to measure: those in bfloat16 where the device is good at it, or where asked for."""
    mixed = precision == "bfloat16" or amp_dtype(device)[0] == torch.bfloat16
    left_out = {"amp": not mixed, "compiled": not compiled}
    return [name for name, options in VARIANTS.items() if not any(left_out.get(key) for key in options)]


class Step:
    """The networks, optimisers and data of one variant; calling it is one training step.

    Naively, the upsampler runs once for each network that learns, the prior sees the true faces with a graph, and the
    discriminator's gradients stay on. A lean step is the same optimisation step from one forward pass.

    Args:
        lean: one forward pass, the discriminator frozen while the upsampler learns, true faces without a graph.
        ops: the toolkit's operators, landmarks of the true faces known, Adam in one kernel.
        layout: memory format.
        amp: bfloat16 autocast.
        compiled: ``torch.compile`` the upsampler.
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        batch: int,
        device: torch.device,
        lean: bool = False,
        ops: bool = False,
        layout: torch.memory_format = torch.contiguous_format,
        amp: bool = False,
        compiled: bool = False,
    ):
        torch.manual_seed(0)
        network = ResidualUpsampler(channels).to(device, memory_format=layout)
        self.upsampler: nn.Module = network if ops else PlainUpsampler(network)
        if compiled:
            self.upsampler = torch.compile(self.upsampler)
        self.discriminator = FaceDiscriminator().to(device, memory_format=layout)
        if not ops:
            without_products(self.discriminator)
        self.prior = FanZhou().to(device, memory_format=layout).eval().requires_grad_(False)
        self.lr = torch.rand(batch, 3, 16, 16).to(device, memory_format=layout)
        self.hr = torch.rand(batch, 3, 128, 128).to(device, memory_format=layout)
        kernel = dict(fused=True) if ops else dict(foreach=False)
        self.optimizers = [torch.optim.Adam(m.parameters(), 1e-3, **kernel) for m in (network, self.discriminator)]
        self.amp = torch.autocast(device.type, torch.bfloat16, enabled=amp)
        self.structure = SemanticStructureLoss()
        with torch.no_grad():
            self.known = self.prior(self.hr) if ops else None
        self.call = self._lean if lean else self._naive

    def __call__(self) -> Tensor:
        return self.call()

    def _naive(self) -> Tensor:
        sr = self.upsampler(self.lr).detach()
        update(
            self.optimizers[1],
            F.softplus(-self.discriminator(self.hr)).mean() + F.softplus(self.discriminator(sr)).mean(),
        )
        sr = self.upsampler(self.lr)
        structure = F.mse_loss(self.prior(sr) / 128, self.prior(self.hr) / 128)
        adversarial = F.softplus(-self.discriminator(sr)).mean()
        total = F.mse_loss(sr, self.hr) + ALPHA * adversarial + BETA * structure
        update(self.optimizers[0], total)
        return total

    def _lean(self) -> Tensor:
        networks = self.upsampler, self.discriminator, self._structure
        return plain_step(*networks, self.optimizers, self.lr, self.hr, (ALPHA, BETA), self.amp)["total"]

    def _structure(self, sr: Tensor) -> Tensor:
        if self.known is not None:
            return self.structure(sr, self.hr, self.prior, self.known)
        with torch.no_grad():
            target = self.prior(self.hr)
        return F.mse_loss(self.prior(sr) / 128, target / 128)


def peak_memory(channels: tuple[int, ...], batch: int, device: torch.device, name: str, keep: bool) -> dict[str, float]:
    """Return the most memory, in MB, that three steps take on a CUDA device, or in a process of their own on a CPU."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated(device)
        step = Step(channels, batch, device, **VARIANTS[name])
        torch.cuda.reset_peak_memory_stats(device)
        _repeat(step)
        return {"tensors MB": (torch.cuda.max_memory_allocated(device) - before) / 2**20}
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_measure_peak, args=(send, channels, batch, name, keep, torch.get_num_threads()))
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # there the profiler greets, and misses a GPU
    process.start()
    send.close()  # so that a process that dies ends the waiting
    try:
        return receive.recv()
    except EOFError:
        return {}
    finally:
        process.join()


def _measure_peak(send, channels: tuple[int, ...], batch: int, name: str, keep: bool, threads: int) -> None:
    torch.set_num_threads(threads)
    if keep:
        set_malloc_policy()
    found, before = {}, _resident()
    _repeat(Step(channels, batch, CPU, **VARIANTS[name]))
    if before:
        found = {"process MB": _resident(), "above the imports": _resident() - before}
    send.send({"tensors MB": _tensors(lambda: _repeat(Step(channels, batch, CPU, **VARIANTS[name]))), **found})


def _tensors(run: Callable[[], None]) -> float:
    """Most memory, in MB, that tensors take at a time while ``run`` runs, from what the profiler sees allocated."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(itertools.accumulate((event.nbytes() for event in events), initial=0)) / 2**20


def _resident() -> float:
    """Most memory so far, in MB; 0 where the system does not say (getrusage counts the parent process in)."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def _repeat(step: Callable[[], Tensor]) -> None:
    for _ in range(3):
        step()
