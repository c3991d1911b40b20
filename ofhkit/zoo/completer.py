"""The inpainter that fills the holes of photographs at 128x128, from the file that ships or from one of yours."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ofhkit.errors import OfhkitError
from ofhkit.registry import INPAINTERS
from ofhkit.runtime.devices import pick_device
from ofhkit.runtime.files import ASSETS
from ofhkit.runtime.progress import log
from ofhkit.zoo.weights import check_finite, load_strictly, load_weights, save_weights

__all__ = ["COMPLETER", "completer_for", "load_completer", "save_completer"]

COMPLETER = ASSETS / "photographs.safetensors"


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
    licence = getattr(model, "info", {}).get("licence")
    return None if licence and not licence.startswith("non-commercial") else load_completer(device=device)


def save_completer(path: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor], **header: str) -> Path:
    """Write an inpainter with its configuration; floats are kept in 16 bits."""
    small = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
    check_finite(small, f"{path} in 16 bits")
    return save_weights(path, small, {"inpainter": dict(config), **header})
