"""How a release file is made from a finished run."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ofhkit.errors import OfhkitError
from ofhkit.functional.alignment import DEFAULT_TEMPLATE
from ofhkit.models.uncertainty import Uncertainty
from ofhkit.runtime.version import __version__
from ofhkit.zoo.pipeline_file import open_pipeline
from ofhkit.zoo.weights import MODEL, check_finite, load_weights, save_weights

__all__ = ["add_calibration", "export_weights"]


def export_weights(
    run: Path,
    out: Path,
    licence: str = "",
    data: str | None = None,
    results: Path | None = None,
    half: bool = True,
    inpainter: Path | None = None,
) -> Path:
    """Turn a finished run into a release file, or give a release file new scores.

    Args:
        run: folder of a finished run, or its ``model.safetensors``; or a release file, whose tensors stay as they are.
        out: the file to write; its stem is the model's name.
        licence: one line, printed whenever the file is loaded; empty keeps the one that a release states.
        data: what it was trained on, in words.
        results: ``results.json`` of ``ofhkit test``: the scores of exactly these weights go into the header.
        half: keep kernels in 16 bits, which halves the file; they are loaded as 32.
        inpainter: another finished run or release, whose inpainter takes the place of this one's.

    Raises:
        OfhkitError: no finished run, a licence of no line or several, or results of other weights.
    """
    file = run / MODEL if run.is_dir() else run
    model, tensors, header = open_pipeline(file)
    if inpainter is not None:
        tensors, header = _with_inpainter(tensors, header, inpainter / MODEL if inpainter.is_dir() else inpainter)
    licence = licence.strip() or header.get("licence", "")
    if not licence or "\n" in licence:
        raise OfhkitError("the licence is one line that says what the weights may be used for")
    if half:
        tensors = {k: v.half() if v.ndim > 1 and v.dtype == torch.float32 else v for k, v in tensors.items()}
        check_finite(tensors, f"{file} in 16 bits")
    trained_on = {**(header.get("data") or {}), **({"name": data} if data else {})}
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    release = {
        "config": file.parent.name,
        "sha256_of_run": sha256,
        **header,
        "version": __version__,
        "name": out.stem,
        "scale": model.scale,
        "size": 16,
        "template": header.get("template") or _template(file.with_name("config.json")),
        "data": trained_on,
        "licence": licence,
    }
    if results is not None:
        release["metrics"] = _scores(results, sha256)
    return save_weights(out, tensors, release)


def add_calibration(file: Path, calibration: Uncertainty) -> Path:
    """Write a calibration into a pipeline's file, in place of an older one; all else stays as it is."""
    tensors, header = load_weights(file)
    tensors = {name: value for name, value in tensors.items() if not name.startswith("uncertainty.")}
    new = {f"uncertainty.{name}": value for name, value in calibration.state_dict().items()}
    new["uncertainty.residual"] = new["uncertainty.residual"].half()
    return save_weights(file, tensors | new, header)


def _with_inpainter(tensors: Mapping[str, Tensor], header: Mapping[str, Any], file: Path) -> tuple[dict, dict]:
    """A pipeline's tensors and header with the inpainter of another one; the scores were the old pipeline's."""
    _, others, other = open_pipeline(file)
    prefix = "inpainter."
    mixed = {k: v for k, v in tensors.items() if not k.startswith((prefix, "uncertainty."))}
    mixed |= {k: v for k, v in others.items() if k.startswith(prefix)}
    first, second = other["method"].partition("+")[0], header["method"].rpartition("+")[2]
    model = {**header["model"], "inpainter": other["model"]["inpainter"]}
    marks = {"fingerprints": {**header.get("fingerprints", {}), **_only(other.get("fingerprints", {}), "inpainter")}}
    kept = {k: v for k, v in header.items() if k not in ("metrics", "config")}
    return mixed, {**kept, **marks, "method": f"{first}+{second}", "model": model}


def _only(entries: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {key: entries[key]} if key in entries else {}


def _template(config: Path) -> list[list[float]]:
    """The template of the pack a run was trained on; the package's own where the pack is gone or made no crops."""
    try:
        root = json.loads(config.read_text())["data"]["dataset"]["root"]
        found = json.loads((Path(root) / "pack.json").read_text())["template"]
    except (OSError, ValueError, KeyError, TypeError):
        found = []
    return found or [list(point) for point in DEFAULT_TEMPLATE]


def _scores(results: Path, sha256: str) -> dict[str, Any]:
    """The scores of the one row that was computed with these weights, and how they were measured."""
    try:
        document = json.loads(Path(results).read_text())
        protocol = document["protocol"]
        rows = [row for row in document["rows"] if row.get("checkpoint_sha256") == sha256]
        metrics, measured = document["metrics"], {"num_images": protocol["num_images"], "test_data": protocol["data"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise OfhkitError(f"{results} is not a results.json of ofhkit test") from None
    if len(rows) != 1:
        what = f"{len(rows)} rows" if rows else "no scores"
        raise OfhkitError(f"{results} has {what} of these weights; score them again with ofhkit test")
    return {**{name: rows[0][name] for name in metrics if name in rows[0]}, **measured}
