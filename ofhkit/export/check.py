"""Is the file the model? Compared on rendered faces with holes, and timed beside eager."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.utils.benchmark import Timer

from ofhkit.errors import OfhkitError
from ofhkit.export.formats import Exported, load_exported, write
from ofhkit.export.graph import graph
from ofhkit.functional.image_quality import psnr
from ofhkit.models.pipeline import FaceHallucinator
from ofhkit.ops import fuse
from ofhkit.registry import DATASETS, DEGRADATIONS

LIMIT = 1e-4  # of a float32 file's difference from eager
_CALIBRATION, _BATCH = 64, 16


@dataclass(frozen=True)
class Sample:
    """Rendered faces: ``lr`` (N, 3, 16, 16), ``mask`` (N, 1, 16, 16), ``hr`` (N, 3, 128, 128), in [0, 1]."""

    lr: Tensor
    mask: Tensor
    hr: Tensor

    def batches(self, size: int | list[int]) -> list[tuple[Tensor, Tensor]]:
        """(lr, mask) of at most ``size`` faces, or of so many each."""
        return list(zip(self.lr.split(size), self.mask.split(size)))


@dataclass(frozen=True)
class Agreement:
    """How near an exported file is to the model it was made of.

    Attributes:
        largest: absolute difference of one value.
        against_eager: PSNR of the exported output with eager's as the truth, dB.
        eager, exported: PSNR against the true faces, dB.
    """

    largest: float
    against_eager: float
    eager: float
    exported: float


def sample(count: int, split: str = "test") -> Sample:
    """Render faces and make the tiny ones with holes as a test does.

    >>> sample(2).lr.shape
    torch.Size([2, 3, 16, 16])
    """
    faces = DATASETS.build(dict(type="SyntheticFaces", num_faces=count, split=split, cache=False))
    batch = DEGRADATIONS.build(dict(type="Degradation"))(faces.__getitems__(range(count)), training=False)
    return Sample(batch["lr"], batch["mask"], batch["hr"])


@torch.no_grad()
def agreement(model: FaceHallucinator, run: Exported, faces: Sample) -> Agreement:
    """Compare in batches of 1, 2 and the rest, so that a batch size frozen into the file shows.

    Raises:
        OfhkitError: the file fails at a batch size, or gives another shape, or NaN.
    """
    sizes = [n for n in (1, 2, len(faces.lr) - 3) if n > 0]
    parts = faces.batches(sizes if sum(sizes) == len(faces.lr) else len(faces.lr))
    got, want = [], []
    for lr, mask in parts:
        expected = model.predict(lr, mask)["sr"]
        try:
            sr = run(lr, mask)
        except Exception as error:
            raise OfhkitError(f"the exported file fails on a batch of {len(lr)}: {error}") from error
        if sr.shape != expected.shape or not torch.isfinite(sr).all():
            raise OfhkitError(f"the exported file returns {tuple(sr.shape)} or NaN for a batch of {len(lr)}")
        got.append(sr)
        want.append(expected)
    sr, expected = torch.cat(got), torch.cat(want)
    largest = (sr - expected).abs().max().item()
    mse = (sr - expected).square().mean()
    scores = [psnr(x, faces.hr, 1.0).mean().item() for x in (expected, sr)]
    return Agreement(largest, (-10 * torch.log10(mse)).item(), *scores)


def export(
    model: FaceHallucinator, file: str | Path, kind: str, precision: str = "float32", faces: Sample | None = None
) -> tuple[Exported, Agreement]:
    """Write ``model`` to ``file``, read it back and compare; the file appears only if it is the model.

    Args:
        model: on the CPU, in eval mode.
        kind: ``'onnx'``, ``'torch'`` or ``'aot'``.
        precision: ``'float32'``, ``'bfloat16'`` (torch and aot) or ``'int8'`` (onnx).
        faces: to compare on; rendered where None.

    Raises:
        OfhkitError: a component cannot be exported, something is missing, or the file is not the model.
    """
    if precision == "int8" and kind != "onnx":
        raise OfhkitError(f"--precision int8 goes with --format onnx, not {kind}; use bfloat16 or float32")
    if precision == "bfloat16" and kind == "onnx":
        raise OfhkitError("--precision bfloat16 goes with --format torch or aot; for onnx use int8 or float32")
    file = Path(file)
    faces = sample(16) if faces is None else faces
    calibration = sample(_CALIBRATION, "train").batches(_BATCH) if precision == "int8" else ()
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".export-") as folder:
        part = Path(folder) / file.name
        write(graph(model, precision), part, kind, calibration)
        found = agreement(model, load_exported(part), faces)
        if precision == "float32" and found.largest > LIMIT:
            raise OfhkitError(
                f"{file.name} differs from the model by {found.largest:.1e} (allowed {LIMIT:.0e}) and was not kept; "
                "report it with the names of its components, or use --format torch"
            )
        os.replace(part, file)
    return load_exported(file), found


@torch.no_grad()
def throughput(
    model: FaceHallucinator, run: Exported, faces: Sample, batches: Sequence[int], rounds: int
) -> list[dict[str, float]]:
    """Images a second of eager, eager with the fast forms, and the file: medians of calls in turn."""
    variants: dict[str, nn.Module | Exported] = {"eager": model}
    if any(callable(getattr(m, "fused", None)) for m in model.modules()):
        variants["fused"] = fuse(model)
    variants["exported"] = run
    rows = []
    for size in batches:
        repeats = -(-size // len(faces.lr))
        lr, mask = (t.repeat(repeats, 1, 1, 1)[:size] for t in (faces.lr, faces.mask))
        timers = {
            name: Timer(
                "call(lr, mask)", globals=dict(call=call, lr=lr, mask=mask), num_threads=torch.get_num_threads()
            )
            for name, call in variants.items()
        }
        times = [{name: timer.timeit(1).median for name, timer in timers.items()} for _ in range(rounds)]
        rows.append({"batch": size, **{name: size / median(turn[name] for turn in times) for name in timers}})
    return rows
