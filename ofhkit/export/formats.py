"""Write a traced pipeline as ONNX, torch.export or AOTInductor, and call such a file."""

import contextlib
import importlib.util
import io
import json
import logging
import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ofhkit.errors import OfhkitError
from ofhkit.export.graph import Graph
from ofhkit.restoration.writing import WARNING
from ofhkit.runtime.version import __version__


def need(*packages: str) -> None:
    """Raise :class:`OfhkitError` with the remedy where a package is missing."""
    for name in packages:
        if importlib.util.find_spec(name) is None:
            raise OfhkitError(f"this needs the package {name}, which is missing: pip install 'ofhkit[export]'")


def need_compiler() -> None:
    """Raise :class:`OfhkitError` with the remedies where there is no C++ compiler, which AOTInductor calls."""
    if not any(shutil.which(name) for name in (os.environ.get("CXX"), "g++", "clang++") if name):
        raise OfhkitError("--format aot compiles C++ and finds no g++ or clang++: install one, or use --format torch")


Exported = Callable[[Tensor, Tensor], Tensor]
FORMATS = {"onnx": ".onnx", "torch": ".pt2", "aot": ".pt2"}
_OPSET = 18
_METADATA = "ofhkit.json"


def write(graph: Graph, file: str | Path, kind: str, calibration: Sequence[tuple[Tensor, Tensor]] = ()) -> None:
    """Trace ``graph`` with a batch of any size and write it.

    Args:
        kind: ``'onnx'``, ``'torch'`` or ``'aot'``.
        calibration: (lr, mask) batches; given, the ONNX file is quantised to 8 bits with the ranges that occur on them.

    Raises:
        OfhkitError: the suffix is another format's, a package or the compiler is missing, or a component cannot be
            traced.
    """
    file = Path(file)
    if file.suffix != FORMATS[kind]:
        raise OfhkitError(f"--out {file.name}: a file of format {kind} ends in {FORMATS[kind]}")
    if kind == "onnx":
        need("onnx", "onnxscript")
    elif kind == "aot":
        need_compiler()
    program = trace(graph, {"lr": torch.rand(3, 3, 16, 16), "mask": torch.zeros(3, 1, 16, 16)})
    if kind == "onnx":
        write_onnx(program, file, metadata(graph), ["lr", "mask"], ["sr"])
        if calibration:
            quantise(file, calibration)
    elif kind == "torch":
        buffer = io.BytesIO()  # on a full disk torch would abort the process
        torch.export.save(program, buffer, extra_files={_METADATA: json.dumps(metadata(graph))})
        file.write_bytes(buffer.getbuffer())
    else:
        with _quiet():
            torch._inductor.aoti_compile_and_package(program, package_path=str(file))


def trace(graph: nn.Module, example: Mapping[str, Tensor]) -> torch.export.ExportedProgram:
    """Return a graph, which holds its pipeline as ``model``, as a program whose batch is free.

    Args:
        example: inputs by name, in order.

    Raises:
        OfhkitError: a component does something that torch.export cannot follow.
    """
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    try:
        with torch.no_grad(), _quiet():
            return torch.export.export(graph, tuple(example.values()), dynamic_shapes={n: {0: batch} for n in example})
    except Exception as error:
        parts = " + ".join(type(m).__name__ for m in graph.model.children())
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise OfhkitError(
            f"{parts} cannot be exported: torch.export stops at {reason!r}; write it with torch operators only"
        ) from error


def metadata(graph: nn.Module) -> dict[str, str]:
    """What the file says of itself; the values are text, as ONNX wants them."""
    info = getattr(graph.model, "info", {})
    known = {key: str(info[key]) for key in ("name", "method", "budget", "seed", "licence") if key in info}
    shapes = "lr (N,3,16,16) RGB in [0,1], mask (N,1,16,16) 1 = occluded -> sr (N,3,128,128) RGB in [0,1]"
    return {"ofhkit": __version__, "notice": WARNING, "shapes": shapes, **known}


def write_onnx(
    program: torch.export.ExportedProgram, file: Path, notes: dict[str, str], inputs: list[str], outputs: list[str]
) -> None:
    """Write a traced program as ONNX, checked, with ``notes`` as its metadata."""
    import onnx

    with _quiet():
        made = torch.onnx.export(
            program, dynamo=True, input_names=inputs, output_names=outputs, opset_version=_OPSET, verbose=False
        )
    proto = made.model_proto
    onnx.helper.set_model_props(proto, notes)
    onnx.checker.check_model(proto)
    file.write_bytes(proto.SerializeToString())


def load_exported(file: str | Path) -> Exported:
    """Return ``(lr, mask) -> sr`` on CPU tensors from a file that :func:`write` made.

    A ``.pt2`` file is a program, and loading it can run anything that is in it: load none from a stranger.

    Raises:
        OfhkitError: no such file, not such a file, or the runtime is missing.
    """
    file = Path(file)
    if not file.is_file():
        raise OfhkitError(f"{file} does not exist; write it with ofhkit export")
    if file.suffix == ".onnx":
        run = load_onnx(file, ["sr"])
        return lambda lr, mask: run(lr=lr, mask=mask)[0]
    if not zipfile.is_zipfile(file):
        raise OfhkitError(f"{file} is not an exported pipeline; write one with ofhkit export")
    with zipfile.ZipFile(file) as archive:
        compiled = any("aotinductor" in name for name in archive.namelist())
    with _quiet():
        run = torch._inductor.aoti_load_package(str(file)) if compiled else torch.export.load(str(file)).module()
    return torch.no_grad()(run)


def load_onnx(file: Path, outputs: list[str]) -> Callable[..., list[Tensor]]:
    """Return a function of tensors by name; what the file does not ask for (a mean face looks at nothing) is left out.

    Raises:
        OfhkitError: ONNX Runtime is not installed.
    """
    need("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = {entry.name for entry in session.get_inputs()}

    def run(**given: Tensor) -> list[Tensor]:
        found = session.run(outputs, {name: value.numpy() for name, value in given.items() if name in names})
        return [torch.from_numpy(value) for value in found]

    return run


@contextlib.contextmanager
def _quiet() -> Any:
    """Keep the exporters' running commentary to themselves."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def quantise(file: Path, calibration: Sequence[tuple[Tensor, ...]]) -> None:
    """Replace an ONNX file by its 8-bit form, which takes and returns float32 as before.

    Only convolutions compute in 8 bits: weights by output channel, activations by the ranges that occur on the faces.

    Args:
        calibration: batches of its inputs, in order.

    Raises:
        OfhkitError: ONNX Runtime is not installed.
    """
    need("onnx", "onnxruntime")
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Batches(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(calibration)

        def get_next(self) -> dict | None:
            pair = next(self.left, None)
            return None if pair is None else dict(zip(names, (t.numpy() for t in pair)))

    plain = onnx.load(str(file))
    names = [entry.name for entry in plain.graph.input]
    notes = {entry.key: entry.value for entry in plain.metadata_props}
    how = dict(per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder, _quiet():
        small = str(Path(folder) / file.name)
        quantize_static(str(file), small, Batches(), quant_format=QuantFormat.QDQ, op_types_to_quantize=["Conv"], **how)
        model = onnx.load(small)
    onnx.helper.set_model_props(model, {**notes, "precision": "int8"})
    file.write_bytes(model.SerializeToString())
