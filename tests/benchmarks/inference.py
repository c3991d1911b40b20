"""The upsampler at inference: eager, compiled, fused, ONNX Runtime, OpenVINO, at several batch sizes."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.plain import PlainUpsampler, multiplications
from benchmarks.timing import Table, environment, measure
from ofhkit.models.upsamplers.residual import ResidualUpsampler
from ofhkit.ops import fuse
from ofhkit.ops.native_conv import verified

WIDTHS = ((256, 128, 64), (64, 64, 64))


def run(
    device: torch.device, batches: tuple[int, ...], rounds: int, compiled: bool, precision: str = "float32"
) -> list[Table]:
    """Return one table for each set of widths."""
    return [_one(channels, device, batches, rounds, compiled, precision) for channels in WIDTHS]


def _one(channels, device, batches, rounds, compiled, precision) -> Table:
    network = randomise(ResidualUpsampler(channels)).to(device)
    macs = multiplications(network)
    title = f"Inference, upsampler {'/'.join(map(str, channels))}, {precision}"
    table = Table(f"{title} ({', '.join(f'{v:.3f} GMACs {k}' for k, v in macs.items())})")
    for batch in batches:
        x = torch.rand(batch, 3, 16, 16, device=device)
        variants = build(network, x, compiled, precision)
        with torch.no_grad():
            expected = PlainUpsampler(copy.deepcopy(network)).double()(x.double()).float()
        errors = {name: _error(call(), expected) for name, call in variants.items()}
        times, table.ceilings = measure(variants, rounds, device)
        peak = table.ceilings["float32 3x3 convolution (GFLOP/s)"]
        for name, seconds in times.items():
            table.rows.append(
                {
                    "batch": batch,
                    "variant": name,
                    "ms": 1e3 * seconds,
                    "images/s": batch / seconds,
                    "x eager": times["eager"] / seconds,
                    "direct MACs, % of fp32 conv peak": 200 * macs["direct"] * batch / seconds / peak,
                    "max error": errors[name],
                }
            )
    table.environment = environment(device)
    return table


@torch.no_grad()
def build(network: ResidualUpsampler, x: Tensor, compiled: bool, precision: str) -> dict[str, Callable[[], Tensor]]:
    """Return the variants that exist on this machine; each call hallucinates the whole batch ``x``."""
    plain = PlainUpsampler(network).eval()
    last = x.contiguous(memory_format=torch.channels_last)
    calls: dict[str, Callable] = {"eager": lambda: plain(x), "eager channels_last": lambda: plain(last)}
    if precision == "bfloat16":
        calls["eager bfloat16"] = lambda: _autocast(plain, last)
    if compiled:
        quick = torch.compile(plain, mode="max-autotune-no-cudagraphs" if x.is_cuda else None)
        calls["torch.compile"] = lambda: quick(last)
    fast = fuse(network, precision=precision)
    calls[f"fused {precision}"] = lambda: fast(x)
    if not x.is_cuda and precision == "float32" and verified():
        without = fuse(network, compile_kernels=False)
        calls["fused float32 without the kernels in C"] = lambda: without(x)
    if x.is_cuda:
        calls["fused, CUDA graph"] = _graph(fast, x)
    else:
        calls |= {**_onnxruntime(plain, x), **_openvino(plain, x, "f32")}
        if precision == "bfloat16":
            calls |= _openvino(plain, x, "bf16")
    return {name: torch.no_grad()(call) for name, call in calls.items()}


def randomise(network: nn.Module) -> nn.Module:
    """Give the normalisations a history and partly negative scales, as training would."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.9)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


def _autocast(plain: nn.Module, x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, torch.bfloat16):
        return plain(x)


def _graph(fast: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream), torch.no_grad():
        for _ in range(3):
            fast(x)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        y = fast(x)

    def call() -> Tensor:
        graph.replay()
        return y

    return call


def _onnx(plain: nn.Module, x: Tensor) -> bytes | None:
    if importlib.util.find_spec("onnx") is None:
        return None
    buffer = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(plain, (x,), buffer, dynamo=False, input_names=["lr"], output_names=["sr"])
    return buffer.getvalue()


def _onnxruntime(plain: nn.Module, x: Tensor) -> dict[str, Callable]:
    if importlib.util.find_spec("onnxruntime") is None or (model := _onnx(plain, x)) is None:
        return {}
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it would slow the others down
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    array = x.numpy()
    return {"ONNX Runtime fp32": lambda: torch.from_numpy(session.run(None, {"lr": array})[0])}


def _openvino(plain: nn.Module, x: Tensor, precision: str) -> dict[str, Callable]:
    if importlib.util.find_spec("openvino") is None or (model := _onnx(plain, x)) is None:
        return {}
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    program = core.compile_model(core.read_model(io.BytesIO(model)), "CPU", settings)
    array = x.numpy()
    return {f"OpenVINO {precision.replace('f32', 'fp32')}": lambda: torch.from_numpy(program(array)[0])}


def _error(y: Tensor, expected: Tensor) -> float:
    return (y.float().to(expected.device) - expected).abs().max().item()
