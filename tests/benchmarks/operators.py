"""Each operator beside the plain torch operators it stands for."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.timing import Table, environment, measure, synchronize
from ofhkit.ops import (
    UpsampleConv2d,
    UpsampledBatchNorm2d,
    fold,
    native_conv,
    norm_relu_upsample,
    set_implementation,
    upsample_conv2d,
)
from ofhkit.ops.autotune import usable
from ofhkit.ops.layouts import phase_kernel
from ofhkit.ops.upsample_conv import ways

LAYERS = ((64, 64, 16), (64, 64, 32), (64, 64, 64), (256, 128, 16), (128, 64, 32))  # C, O, side; at inference, k = 3
SIZES = ((256, 128, 16, 3), (128, 64, 32, 3), (64, 64, 64, 3), (64, 128, 32, 5))  # C, O, side, kernel


def run(
    device: torch.device, batches: tuple[int, ...], rounds: int, compiled: bool, precision: str = "float32"
) -> list[Table]:
    """Return the tables of the convolution and the normalisation with their gradients, and of folded convolutions."""
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
    if device.type == "cpu" and dtype == torch.float32:
        tables.append(_layers(rounds, compiled))
    if device.type == "cuda":
        tables.append(_chains(device, batches, rounds, dtype))
    for table in tables:
        table.environment = environment(device)
    synchronize(device)
    return tables


def _chains(device: torch.device, batches: tuple[int, ...], rounds: int, dtype: torch.dtype) -> Table:
    table = Table(f"Nearest x2 + BatchNorm + ReLU + convolution, forward and backward, {str(dtype)[6:]}")
    for batch in batches:
        for channels, out_channels, side, kernel in SIZES:
            x = torch.randn(batch, channels, side, side, device=device, dtype=dtype)
            x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
            times, table.ceilings = measure(chains(x, out_channels, kernel), rounds, device, dtype)
            label = f"{batch} x {channels}x{side}x{side} -> {out_channels}, k={kernel}"
            for name, seconds in times.items():
                row = {"map": label, "variant": name, "ms": 1e3 * seconds, "x plain": times["plain"] / seconds}
                table.rows.append(row)
    return table


def chains(x: Tensor, out_channels: int, kernel: int) -> dict[str, Callable]:
    """Return the implementations of nearest x2, BatchNorm, ReLU and the convolution behind, as in a training step."""
    calls = {}
    for name in ("plain", *(way for way in ways(x) if way != "nine" or kernel == 3), "auto"):
        norm, conv = UpsampledBatchNorm2d(x.shape[1]), UpsampleConv2d(x.shape[1], out_channels, kernel, bias=False)
        both = set_implementation(nn.ModuleList([norm, conv]), name).to(x.device, x.dtype)
        call = functools.partial(lambda both: norm_relu_upsample(x, *both)[0], both)
        calls[name] = _both(call, (x, *both.parameters()))
    return calls


@torch.no_grad()
def _layers(rounds: int, compiled: bool) -> Table:
    table = Table("A 3x3 convolution + ReLU at inference, with and without nearest x2, folded, float32, batches of 2")
    for kind in (UpsampleConv2d, functools.partial(nn.Conv2d, kernel_size=3, padding=1)):
        for channels, out_channels, side in LAYERS:
            x = torch.randn(2, channels, side, side).contiguous(memory_format=torch.channels_last)
            conv = kind(channels, out_channels)
            enlarged = isinstance(conv, UpsampleConv2d)
            calls = folded(conv, x, compiled)
            expected = copy.deepcopy(conv).double()(x.double()).relu()
            times, table.ceilings = measure(calls, rounds, x.device)
            gflop = 2e-9 * expected.numel() * conv.weight[0].numel()
            first = next(iter(times.values()))
            for name, seconds in times.items():
                table.rows.append(
                    {
                        "map": f"{channels}x{side}x{side}{', x2' * enlarged} -> {out_channels}",
                        "variant": name,
                        "ms": 1e3 * seconds,
                        "x oneDNN": first / seconds,
                        "direct GFLOP/s": gflop / seconds,
                        "max error / max output": float((calls[name]() - expected).abs().max() / expected.max()),
                    }
                )
    return table


def folded(conv: nn.Conv2d, x: Tensor, compiled: bool) -> dict[str, Callable[[], Tensor]]:
    """Return the ways to compute ``relu(conv(x))`` on a CPU at inference; oneDNN's come first."""
    layer = fold(conv, activation="relu")
    enlarged = isinstance(conv, UpsampleConv2d)
    calls = {"phases, oneDNN" if enlarged else "oneDNN": lambda: layer.forward_torch(x)}
    if layer.runs_compiled(x):
        calls["25 products for 4 pixels, C" if enlarged else "Winograd, C"] = lambda: layer.forward_compiled(x)
    if enlarged:
        calls["nine products, torch"] = torch.no_grad()(lambda: nine_products(x, conv.weight, conv.bias).relu())
        if compiled:
            quick = torch.compile(lambda: nine_products(x, conv.weight, conv.bias).relu())
            calls["nine products, torch.compile"] = torch.no_grad()(quick)
    return calls


def nine_products(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Nearest x2 and a 3x3 convolution with nine products for an input pixel, in torch's operators.

    >>> x, weight, bias = torch.rand(1, 2, 4, 5), torch.rand(3, 2, 3, 3), torch.rand(3)
    >>> torch.allclose(nine_products(x, weight, bias), upsample_conv2d(x, weight, bias), atol=1e-5)
    True
    """
    count, _, height, width = x.shape
    rows = weight.sum(2), weight[:, :, 0], -weight[:, :, 2]
    (centre, *horizontal), (up, *up_sides), (down, *down_sides) = (
        (row.sum(-1), row[..., 0], -row[..., 2]) for row in rows
    )
    padded = F.pad(x, (1, 1, 1, 1))
    vertical = padded[:, :, :-1] - padded[:, :, 1:]
    both = vertical[..., :-1] - vertical[..., 1:]
    beside = (padded[..., :-1] - padded[..., 1:])[:, :, 1:-1]
    middle = F.conv2d(x, centre[..., None, None], bias)
    above = F.conv2d(vertical[..., 1:-1], torch.cat([up, down])[..., None, None]).chunk(2, 1)
    left = F.conv2d(beside, torch.cat(horizontal)[..., None, None]).chunk(2, 1)
    corner = F.conv2d(both, torch.cat([*up_sides, *down_sides])[..., None, None]).chunk(4, 1)
    parts = []
    for p in (0, 1):
        for q in (0, 1):
            part = middle + above[p][:, :, p : p + height] + left[q][..., q : q + width]
            parts.append(part + corner[2 * p + q][:, :, p : p + height, q : q + width])
    y = torch.stack(parts, 2).view(count, -1, 2, 2, height, width)
    return y.permute(0, 1, 4, 2, 5, 3).reshape(count, -1, 2 * height, 2 * width)


def convolutions(x: Tensor, weight: Tensor, compiled: bool) -> dict[str, Callable]:
    """Return the implementations of nearest x2 + convolution that can run on ``x``."""
    names = ["plain", "phase", *(["triton", *(["nine"] if weight.shape[-1] == 3 else [])] if usable(x) else [])]
    calls = {name: lambda name=name: upsample_conv2d(x, weight, None, name) for name in names}
    if native_conv.suits(x, phase_kernel(weight), None, transposed=True):
        calls["25 products for 4 pixels, C"] = lambda: upsample_conv2d(x, weight)
    if compiled:
        calls["plain, torch.compile"] = torch.compile(lambda: upsample_conv2d(x, weight, None, "plain"))
    return {name: _both(call, (x, weight)) for name, call in calls.items()}


def normalisations(x: Tensor, compiled: bool) -> dict[str, Callable]:
    """Return the ways to the upsampled, normalised, activated map that can run on ``x``."""
    norm = nn.BatchNorm2d(x.shape[1]).to(x.device)
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
