"""Each operator beside the plain torch operators it stands for."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ofhkit.benchmarks.timing import Table, environment, measure, synchronize
from ofhkit.ops import UpsampledBatchNorm2d, upsample_conv2d
from ofhkit.ops.triton_support import usable

SIZES = ((256, 128, 16, 3), (128, 64, 32, 3), (64, 64, 64, 3), (64, 128, 32, 5))  # C, O, side, kernel


def run(
    device: torch.device, batches: tuple[int, ...], rounds: int, compiled: bool, precision: str = "float32"
) -> list[Table]:
    """Return the tables of the convolution and of the normalisation, forward and backward together."""
    dtype = getattr(torch, precision)
    names = ("Nearest x2 + convolution", "Nearest x2 + BatchNorm + ReLU")
    tables = [Table(f"{name}, forward and backward, {precision}") for name in names]
    for batch in batches:
        for channels, out_channels, side, kernel in SIZES:
            x = torch.randn(batch, channels, side, side, device=device, dtype=dtype)
            x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
            weight = torch.randn(out_channels, channels, kernel, kernel, device=device, dtype=dtype, requires_grad=True)
            label = f"{batch} x {channels}x{side}x{side} -> {out_channels}, k={kernel}"
            gmacs = 3 * batch * (2 * side) ** 2 * weight.numel() / 1e9
            times, tables[0].ceilings = measure(convolutions(x, weight, compiled), rounds, device, dtype)
            for name, seconds in times.items():
                row = {"map": label, "variant": name, "ms": 1e3 * seconds, "x plain": times["plain"] / seconds}
                tables[0].rows.append({**row, "direct GFLOP/s": 2 * gmacs / seconds})
            least = 16 * x.numel() * x.element_size() * 1e-9  # x read 3 times, y and its gradient 4 each, dx, masks
            times, tables[1].ceilings = measure(normalisations(x, compiled), rounds, device, dtype)
            for name, seconds in times.items():
                row = {"map": label, "variant": name, "ms": 1e3 * seconds, "x plain": times["plain"] / seconds}
                tables[1].rows.append({**row, "GB/s of the least traffic": least / seconds})
    for table in tables:
        table.environment = environment(device)
    synchronize(device)
    return tables


def convolutions(x: Tensor, weight: Tensor, compiled: bool) -> dict[str, Callable]:
    """Return the implementations of nearest x2 + convolution that can run on ``x``."""
    names = ["plain", "phase", *(["triton", *(["nine"] if weight.shape[-1] == 3 else [])] if usable(x) else [])]
    calls = {name: lambda name=name: upsample_conv2d(x, weight, None, name) for name in names}
    if compiled:
        calls["plain, torch.compile"] = torch.compile(lambda: upsample_conv2d(x, weight, None, "plain"))
    return {name: _both(call, (x, weight)) for name, call in calls.items()}


def normalisations(x: Tensor, compiled: bool) -> dict[str, Callable]:
    """Return the ways to the upsampled, normalised, activated map that can run on ``x``."""
    norm = torch.nn.BatchNorm2d(x.shape[1]).to(x.device)
    small = UpsampledBatchNorm2d(x.shape[1]).to(x.device)
    calls: dict[str, Callable] = {
        "plain": lambda: F.relu(norm(F.interpolate(x, scale_factor=2.0))),
        "before the x2": lambda: F.interpolate(F.relu(small(x)), scale_factor=2.0),
        "before the x2, which the next convolution makes": lambda: F.relu(small(x)),
    }
    if compiled:
        calls["plain, torch.compile"] = torch.compile(lambda: F.relu(norm(F.interpolate(x, scale_factor=2.0))))
    if usable(x):
        from ofhkit.ops.triton_norm import batch_norm_relu_upsample

        calls["triton"] = lambda: batch_norm_relu_upsample(x, norm.weight, norm.bias, 1e-5, True, True)[0]
    return {name: _both(call, (x, norm.weight if "x2" not in name else small.weight)) for name, call in calls.items()}


def _both(call: Callable[[], Tensor], inputs: tuple[Tensor, ...]) -> Callable[[], object]:
    grad: dict[tuple, Tensor] = {}

    def step() -> object:
        y = call()
        if y.shape not in grad:
            grad[y.shape] = torch.randn_like(y)
        return torch.autograd.grad(y, inputs, grad[y.shape])

    return step
