"""``load_from``: weights that the last step of a curriculum starts from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ofhkit.config.check import ROLE_OF_KEY
from ofhkit.errors import OfhkitError
from ofhkit.training.checkpoint import load_strictly, load_weights
from ofhkit.training.recipes import Step


def starting_weights(file: str | Path, component: str) -> dict[str, Tensor]:
    """Read a component's weights out of its own file or a whole pipeline's ``model.safetensors``.

    Raises:
        OfhkitError: no such file, or not one of ours.
    """
    tensors, _ = load_weights(file)
    own = {k.removeprefix(f"{component}."): v for k, v in tensors.items() if k.startswith(f"{component}.")}
    return own or tensors


def check_start(config: Mapping[str, Any], plan: Mapping[str, Step]) -> None:
    """Open ``load_from`` and hold it against the network of the last step.

    Raises:
        OfhkitError: it cannot be read or does not fit, or that step starts from nothing.
    """
    if config.get("load_from") is None or not plan:
        return
    if not isinstance(config["load_from"], str):
        raise OfhkitError(f"load_from must be the path of a safetensors file, got {config['load_from']!r}")
    name, step = list(plan.items())[-1]
    if step.alone:
        raise OfhkitError(f"load_from: the last step, {name!r}, is fitted in one pass and starts from nothing")
    network = ROLE_OF_KEY[step.component].build(config["model"][step.component])
    load_strictly(network, starting_weights(config["load_from"], step.component), f"load_from: {config['load_from']}")


def mark_start(file: str | Path) -> dict[str, str]:
    """What a recipe says of the weights that its step starts from."""
    return {"load_from": hashlib.sha256(Path(file).read_bytes()).hexdigest()}
