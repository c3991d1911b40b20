"""The network that finds what hides a face, and the prior by whose scores it looks."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.models.inpainters import GaussianInpainter
from ofhkit.models.mask_finder import MaskFinder
from ofhkit.runtime.files import ASSETS
from ofhkit.zoo import find_weights, is_free
from ofhkit.zoo.pipeline_file import open_pipeline
from ofhkit.zoo.weights import load_strictly, load_weights, save_weights

__all__ = ["FINDER", "build_finder", "finder_for", "load_finder", "save_finder"]

FINDER = ASSETS / "mask_finder.safetensors"


def build_finder(prior: str | Path, **config: Any) -> MaskFinder:
    """A finder that is not trained, on the prior of a pipeline's file.

    Raises:
        OfhkitError: the pipeline's inpainter is no Gaussian one.
    """
    inpainter = open_pipeline(Path(prior))[0].inpainter
    if not isinstance(inpainter, GaussianInpainter):
        raise OfhkitError(f"{prior} has no GaussianInpainter, by whose scores a hole is found; name gaussian")
    return MaskFinder(inpainter, **config)


@lru_cache(maxsize=2)
def load_finder(path: str | Path = FINDER) -> MaskFinder:
    """Load a finder and its prior, on the CPU; the last two are kept.

    Raises:
        OfhkitError: no such file, not one of ours, or tensors that do not fit.
    """
    tensors, header = load_weights(path)
    config = header.get("mask_finder")
    if not isinstance(config, dict) or not isinstance(header.get("prior"), str):
        raise OfhkitError(f"{path} holds no mask finder; make one with tools/mask_finder.py train")
    try:
        finder = build_finder(find_weights(Path(header["prior"]).name), **config)
        load_strictly(finder, tensors, str(path))
    except (RuntimeError, TypeError, ValueError) as error:
        raise OfhkitError(f"{path}: its header cannot be used: {error}") from None
    return finder.eval()


def finder_for(model: nn.Module | None = None) -> MaskFinder | None:
    """The finder that ships for a model; None for a model that is free to use, as :func:`ofhkit.zoo.completer_for`."""
    return None if model is not None and is_free(model) else load_finder()


def save_finder(path: Path, finder: MaskFinder, prior: str, licence: str, data: str) -> Path:
    """Write a finder with the name of its prior; floats are kept in 16 bits."""
    tensors = {name: value.half() for name, value in finder.state_dict().items()}
    config = {"channels": list(finder.channels), "passes": finder.passes}
    return save_weights(path, tensors, {"mask_finder": config, "prior": prior, "licence": licence, "data": data})
