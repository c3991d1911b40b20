"""Pipelines by name, and the inpainter of photographs: the weights that ship with the package, any file of ours.

A release is one safetensors file under ``ofhkit/assets/zoo``. Its header holds all that using it needs: the components'
configurations, scale, the template that faces are aligned to, what it was trained on, its scores and its licence.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.functional.alignment import DEFAULT_TEMPLATE
from ofhkit.models.inference import faster
from ofhkit.models.pipeline import FaceHallucinator
from ofhkit.registry import INPAINTERS
from ofhkit.runtime.devices import pick_device
from ofhkit.runtime.files import ASSETS
from ofhkit.runtime.progress import log
from ofhkit.zoo.pipeline_file import open_pipeline
from ofhkit.zoo.weights import MODEL, check_finite, load_strictly, load_weights, save_weights

__all__ = [
    "COMPLETER", "DEFAULT_MODEL", "completer_for", "find_weights", "load_completer", "load_model", "save_completer",
    "zoo",
]  # fmt: skip

FOLDER = ASSETS / "zoo"
DEFAULT_MODEL = "ofhnet-plus"
SUFFIX = ".safetensors"
COMPLETER = ASSETS / "photographs.safetensors"
"""The inpainter that fills the holes of photographs at 128x128."""


def zoo() -> dict[str, Path]:
    """Weights that ship with the package: name -> file, in alphabetical order.

    >>> all(path.suffix == '.safetensors' for path in zoo().values())
    True
    """
    return {path.stem: path for path in sorted(FOLDER.glob(f"*{SUFFIX}"))}


def find_weights(name: str | Path) -> Path:
    """Return the file of a model in the zoo, or of the path given.

    Raises:
        OfhkitError: neither a file nor a name; says the nearest name.
    """
    path, shipped = Path(name), zoo()
    if str(name) in shipped:
        return shipped[str(name)]
    if path.is_dir():
        path = path / MODEL
    if path.is_file() or path.suffix == SUFFIX or len(path.parts) > 1:
        return path
    remedy = did_you_mean(str(name), shipped) if shipped else f"name the {MODEL} that ofhkit train wrote"
    raise OfhkitError(f"no model {str(name)!r} ships with ofhkit, and no such file exists; {remedy}")


def load_model(
    name: str | Path = DEFAULT_MODEL,
    device: str | torch.device = "auto",
    flips: bool | None = None,
    fuse: bool = False,
) -> FaceHallucinator:
    """Load a pipeline: one that ships with the package, by name, or the file that training wrote.

    A licence that the file states is printed to standard error, in one line.

    Args:
        name: of :func:`zoo`, or a safetensors file with ofhkit's header, or a finished run's folder.
        device: auto, cpu, cuda or mps.
        flips: also enlarge each face mirrored and take the mean of both: a little better, for twice the upsampler's
            time. None: as the file says.
        fuse: bring its networks into their fast forms, the same functions to rounding (docs/fused_operators.md); pays
            from a few dozen faces on.

    Returns:
        The pipeline in eval mode, with ``info`` (method, components, template, data, budget, seed, licence).

    Raises:
        OfhkitError: no such name or file, not one of ours, or weights that do not fit.
    """
    file = find_weights(name)
    model, _, header = open_pipeline(file)
    model.info = {"name": file.stem if file.name != MODEL else file.parent.name, **header}
    model.flips = model.flips if flips is None else flips
    model.info["template"] = header.get("template") or [list(point) for point in DEFAULT_TEMPLATE]
    if header.get("licence"):
        log.info(f"{model.info['name']}: {header['licence']}")
    model = model.to(pick_device(device) if isinstance(device, str) else device).eval()
    return cast(FaceHallucinator, faster(model)) if fuse else model


def load_completer(path: str | Path = COMPLETER, device: str | torch.device = "auto") -> nn.Module:
    """Load the inpainter of 128x128 faces; the licence of its weights is printed in one line.

    Raises:
        OfhkitError: no such file, not one of ours, no inpainter, or tensors that do not fit it.
    """
    tensors, header = load_weights(path)
    config = header.get("inpainter")
    if not isinstance(config, dict) or config.get("type") not in INPAINTERS.names():
        raise OfhkitError(f"{path} holds no inpainter of photographs; make one with tools/photographs.py train")
    try:
        network = INPAINTERS.build(config)
        load_strictly(network, tensors, str(path))
    except (OfhkitError, RuntimeError, TypeError, ValueError) as error:
        raise OfhkitError(f"{path}: its header cannot be used: {error}") from None
    if header.get("licence"):
        log.info("%s", f"{Path(path).stem}: {header['licence']}")
    return network.to(pick_device(device) if isinstance(device, str) else device).eval()


def completer_for(model: nn.Module, device: str | torch.device = "auto") -> nn.Module | None:
    """Load the inpainter that ships for a model's photographs; None for a model that is free to use.

    It was fitted to photographs and is for research only, as the models of photographs are; a model whose licence
    allows more does not bring it along unasked.
    """
    return None if is_free(model) else load_completer(device=device)


def is_free(model: nn.Module) -> bool:
    """Whether a model's licence allows more than research."""
    licence = getattr(model, "info", {}).get("licence")
    return bool(licence) and not licence.startswith("non-commercial")


def save_completer(path: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor], **header: str) -> Path:
    """Write an inpainter with its configuration; floats are kept in 16 bits."""
    small = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    check_finite(small, f"{path} in 16 bits")
    return save_weights(path, small, {"inpainter": dict(config), **header})
