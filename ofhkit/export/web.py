"""A page without a server: a folder of static files that completes and enlarges faces in the browser.

The completion is solved exactly in the page's script, from the prior's numbers; the upsampler, and how unsure it is,
run in ONNX Runtime's WebAssembly, which the npm package onnxruntime-web brings.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ofhkit.errors import OfhkitError
from ofhkit.export.check import LIMIT, sample
from ofhkit.export.formats import load_onnx, metadata, quantise, trace, write_onnx
from ofhkit.export.graph import graph
from ofhkit.functional.images import encode_png
from ofhkit.functional.resample import cubic_matrix
from ofhkit.functional.task import HR_SIZE, LR_SIZE
from ofhkit.models.pipeline import FaceHallucinator
from ofhkit.restoration.page.inputs import EXAMPLES, example_hole, open_example
from ofhkit.runtime.files import ASSETS, atomic_write

__all__ = ["ORT", "Enlarge", "export_web"]

ORT = Path("node_modules", "onnxruntime-web", "dist")
_RUNTIME = {"ort.mjs": "ort.wasm.bundle.min.mjs", "ort.wasm": "ort-wasm-simd-threaded.wasm"}
_PAGE = ASSETS / "web"
_WIDGETS = "\nexport { cellsOf, makePainter, packMask, unpackMask, watchSliders };\n"


class Enlarge(nn.Module):
    """What the browser runs: a completed face becomes a large one, and a standard deviation for every pixel.

    Shape:
        completed (N, 3, 16, 16), mask (N, 1, 16, 16), deviation (N, 3, 16, 16) of the completion, unlikely (N,) -> sr
        (N, 3, 128, 128), and std (N, 1, 128, 128) where the pipeline was calibrated.
    """

    def __init__(self, model: FaceHallucinator, precision: str = "float32"):
        super().__init__()
        self.model, self.uncertainty = graph(model, precision).model, model.uncertainty

    def forward(self, completed: Tensor, mask: Tensor, deviation: Tensor, unlikely: Tensor) -> tuple[Tensor, ...]:
        """Enlarge, clamp; then the calibrated deviation."""
        sr = self.model.finish(completed, mask)
        return (sr,) if self.uncertainty is None else (sr, self.uncertainty.enlarged(deviation, unlikely, mask, sr))


@torch.no_grad()
def export_web(model: FaceHallucinator, folder: Path, ort: Path = ORT, precision: str = "float32") -> float:
    """Write the page into ``folder``, and return by how much its network differs from the model.

    Args:
        model: of :func:`ofhkit.load_model`, on the CPU, whose inpainter is a GaussianInpainter.
        ort: ``dist`` of an installed onnxruntime-web.
        precision: ``'float32'`` or ``'int8'``.

    Raises:
        OfhkitError: another inpainter, no onnxruntime-web, or a network that differs from the model.
    """
    if not hasattr(model.inpainter, "posterior"):
        name = type(model.inpainter).__name__
        raise OfhkitError(f"--web needs a pipeline on GaussianInpainter, such as ofhnet-plus; this one has {name}")
    missing = [name for name in _RUNTIME.values() if not (ort / name).is_file()]
    if missing:
        raise OfhkitError(f"{ort} holds no {missing[0]}: run npm install onnxruntime-web, and name its dist with --ort")
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in _RUNTIME.items():
        atomic_write(folder / name, (ort / source).read_bytes())
    differs = _write_network(model, folder / "enlarge.onnx", precision)
    atomic_write(folder / "prior.bin", _prior(model.inpainter))
    atomic_write(folder / "model.json", json.dumps(_about(model, folder)))
    for source in _PAGE.iterdir():
        text = source.read_text("utf-8")
        atomic_write(folder / source.name, text + _WIDGETS if source.name == "widgets.js" else text)
    _write_worker(folder)
    return differs


def _write_network(model: FaceHallucinator, file: Path, precision: str) -> float:
    """Write the ONNX file; it must be the model on rendered faces, at any batch size."""
    enlarge = Enlarge(model, precision).eval()
    names = ("completed", "mask", "deviation", "unlikely")
    given = dict(zip(names, _rendered(model, 3, "test")[0]))
    outputs = ["sr"] if model.uncertainty is None else ["sr", "std"]
    notes = {**metadata(enlarge), "shapes": f"{', '.join(names)} -> {', '.join(outputs)}"}
    write_onnx(trace(enlarge, given), file, notes, list(names), outputs)
    if precision == "int8":
        quantise(file, _rendered(model, 64, "train"))
    run = load_onnx(file, outputs)
    wanted = enlarge(*given.values())
    differs = [0.0] * len(outputs)
    for n in (1, 3):
        found = run(**{name: value[:n] for name, value in given.items()})
        differs = [max(d, (a - b[:n]).abs().max().item()) for d, a, b in zip(differs, found, wanted)]
    if precision == "float32" and not (differs[0] <= LIMIT and differs[-1] <= 1 / 255):
        file.unlink()
        raise OfhkitError(f"{file.name} differs from the model by {max(differs):.1e} and was not kept")
    return differs[0]


def _rendered(model: FaceHallucinator, count: int, split: str) -> list[tuple[Tensor, ...]]:
    """Batches of rendered faces as the network gets them."""
    batches = sample(count, split).batches(16)
    inputs = [(model.complete(lr, mask), mask, *model.inpainter.posterior(lr, mask)) for lr, mask in batches]
    return [tuple(value.float() for value in one) for one in inputs]


def _prior(inpainter: nn.Module) -> bytes:
    """Mean, lower triangle of the precision, and the matrix that shrinks a crop: float32, little-endian."""
    rows, columns = np.tril_indices(inpainter.mean.numel())
    parts = (inpainter.mean.numpy(), inpainter.precision.numpy()[rows, columns], cubic_matrix(HR_SIZE, LR_SIZE))
    return np.concatenate([part.ravel() for part in parts]).astype("<f4").tobytes()


def _about(model: FaceHallucinator, folder: Path) -> dict:
    """What the page says of itself, and the pictures to begin with."""
    examples = []
    for number, name in enumerate(EXAMPLES, 1):
        opened, file = open_example(name), f"example_{number}.png"
        atomic_write(folder / file, encode_png(opened.face))
        hole = np.packbits(example_hole(name)).tobytes().hex()
        examples.append({"file": file, "title": f"{name}: {opened.notes[0]}", "hole": hole})
    notes = metadata(Enlarge(model))
    small = None if model.uncertainty is None else model.uncertainty.small.tolist()
    template = [list(point) for point in model.info["template"]]
    about = {key: notes.get(key, "") for key in ("name", "method", "licence", "notice")}
    return {**about, "version": notes["ofhkit"], "small": small, "template": template, "examples": examples}


def _write_worker(folder: Path) -> None:
    """The service worker knows every file and a name for exactly these."""
    files = sorted(path for path in folder.iterdir() if path.name != "sw.js" and path.is_file())
    digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)).hexdigest()[:16]
    text = (_PAGE / "sw.js").read_text("utf-8").replace("@VERSION@", digest)
    atomic_write(folder / "sw.js", text.replace("@FILES@", json.dumps(["./", *(path.name for path in files)])))
