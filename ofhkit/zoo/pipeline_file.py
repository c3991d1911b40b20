"""Open the file of a whole pipeline, which anybody may have made: nothing is built or believed before it was checked.

What a header says is held against kinds and ranges, and the network, while it is built, against the tensors beside it.
"""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks

from ofhkit.config.check import check
from ofhkit.errors import OfhkitError
from ofhkit.models.fitted import Fitted
from ofhkit.models.pipeline import FaceHallucinator
from ofhkit.models.uncertainty import Uncertainty
from ofhkit.registry import HALLUCINATORS, PIPELINE
from ofhkit.zoo.weights import load_strictly, load_weights

_KINDS: dict[str, tuple[type, ...]] = {
    "budget": (int, float),
    "config": (str,),
    "core_hours": (int, float),
    "data": (dict,),
    "fingerprints": (dict,),
    "licence": (str,),
    "method": (str,),
    "metrics": (dict,),
    "model": (dict,),
    "name": (str,),
    "seed": (int,),
    "template": (list, type(None)),
    "version": (str,),
}
_DEPTH, _ITEMS, _TEXT, _NUMBER = 8, 1000, 1000, 2**32
_MAX_SCALE = 16
_OWN_NUMBERS = 2**20  # what a network may hold without saving it
_BREAKS = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


def open_pipeline(path: Path) -> tuple[FaceHallucinator, dict[str, Tensor], dict[str, Any]]:
    """Return the pipeline in a file with its weights, the tensors as they are stored, and the header.

    Raises:
        OfhkitError: the file cannot be read, its header says what no pipeline of ofhkit can be, or the tensors do not
            fit that pipeline.
    """
    tensors, header = load_weights(path)
    if "model" not in header:
        raise OfhkitError(
            f"{path} holds one component ({header.get('component')!r:.80}), not a pipeline; name a model.safetensors"
        )
    try:
        _check_header(header)
        model = _build(header["model"], tensors)
        if any(name.startswith("uncertainty.") for name in tensors):
            model.uncertainty = Uncertainty()
        load_strictly(model, tensors, str(path))
        _check_answer(model.eval())
    except OfhkitError as error:
        if error.path is not None:
            raise
        raise OfhkitError(f"{path}: its header cannot be used: {error}", path=path) from None
    return model, tensors, header


def _check_header(header: Mapping[str, Any]) -> None:
    for key, kinds in _KINDS.items():
        if key in header and (not isinstance(header[key], kinds) or isinstance(header[key], bool)):
            raise OfhkitError(f"{key} must be of kind {kinds[0].__name__}, got {header[key]!r:.80}")
    if "method" not in header:
        raise OfhkitError("it names no method")
    _check_plain(header)
    _check_template(header.get("template") or [])
    model = header["model"]
    for key, value in model.items():
        if isinstance(value, Mapping) and key not in PIPELINE:
            raise OfhkitError(f"model.{key} is nothing that a finished pipeline has")
    check({"model": model})
    if missing := [key for key in PIPELINE if not isinstance(model.get(key), Mapping)]:
        raise OfhkitError(f"model.{missing[0]} must be a component's configuration")
    kind = HALLUCINATORS.get(model["type"])
    if not (inspect.isclass(kind) and issubclass(kind, FaceHallucinator)):
        raise OfhkitError(f"model.type {model['type']!r} is no pipeline; valid: FaceHallucinator")


def _check_plain(header: Mapping[str, Any]) -> None:
    """Refuse what is too deep, too long, too large or no number, wherever it stands."""
    for key, value, depth in _walk(header):
        if depth > _DEPTH:
            raise OfhkitError(f"{key[:80]} is nested more than {_DEPTH} levels deep")
        if isinstance(value, list | dict) and len(value) > _ITEMS:
            raise OfhkitError(f"{key[:80]} has {len(value)} entries, more than {_ITEMS}")
        if max(len(key), len(value) if isinstance(value, str) else 0) > _TEXT:
            raise OfhkitError(f"{key[:80]} is a text of more than {_TEXT} characters")
        if isinstance(value, int | float) and not abs(value) <= _NUMBER:
            raise OfhkitError(f"{key[:80]} must be a number of at most {_NUMBER}, got {_short(value)}")


def _short(number: float) -> str:
    return f"{number}" if isinstance(number, float) else f"a number of {number.bit_length()} bits"


def _walk(tree: Any) -> Iterator[tuple[str, Any, int]]:
    """Every value below ``tree`` with its key and depth; no recursion, which a stranger could exhaust."""
    waiting = [("header", tree, 0)]
    while waiting:
        key, value, depth = waiting.pop()
        yield key, value, depth
        if isinstance(value, dict):
            waiting += [(name, inner, depth + 1) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(key, inner, depth + 1) for inner in value]


def _check_template(points: list) -> None:
    """Five points (x, y) that a face can be aligned to, in pixels of the crop; none stands for the package's own."""
    pairs = [p for p in points if isinstance(p, list) and len(p) == 2 and all(type(v) in (int, float) for v in p)]
    inside = all(-128 <= v <= 256 for p in pairs for v in p)
    if points and not (len(pairs) == len(points) == 5 and inside and all(max(v) - min(v) >= 1 for v in zip(*pairs))):
        raise OfhkitError("template must be five points (x, y) in the pixels of a face's crop")


def _build(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> FaceHallucinator:
    """Build the pipeline, which stops as soon as it has more weights or layers than the file has tensors for.

    A layer's weights are counted before they are filled, so that no more memory is touched than the file is large.
    """
    room = {"weights": sum(t.numel() for t in tensors.values()) + _OWN_NUMBERS, "layers": 20 * len(tensors) + 1000}

    def count(_owner: nn.Module, _name: str, new: nn.Module | Tensor | None) -> None:
        what = "weights" if isinstance(new, Tensor) else "layers"
        room[what] -= new.numel() if isinstance(new, Tensor) else 1
        if room[what] < 0:
            raise OfhkitError(f"its network has more {what} than the {len(tensors)} tensors of the file can be for")

    counters = (
        hooks.register_module_parameter_registration_hook,
        hooks.register_module_buffer_registration_hook,
        hooks.register_module_module_registration_hook,
    )
    handles = [register(count) for register in counters]
    try:
        return HALLUCINATORS.build(config)
    except _BREAKS as error:
        raise OfhkitError(f"no such network can be built ({type(error).__name__}: {error!s:.200})") from None
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _check_answer(model: FaceHallucinator) -> None:
    """Ask for a face: a tiny one, which takes milliseconds, where the network is not bound to its size."""
    scale = getattr(model, "scale", None)
    if not isinstance(scale, int) or not 1 <= scale <= _MAX_SCALE:
        raise OfhkitError(f"the pipeline enlarges {scale!r:.80} times; 1 to {_MAX_SCALE} can be used")
    fitted = sorted({part.image_size for part in (model.inpainter, model.upsampler) if isinstance(part, Fitted)})
    sides = fitted or [4, 16]
    for side in sides:
        try:
            sr = model(torch.zeros(1, 3, side, side), torch.ones(1, 1, side, side))
        except (OfhkitError, *_BREAKS) as error:  # some components know faces of one size only, and say so
            if side == sides[-1]:
                raise OfhkitError(f"the pipeline answers no face of {side}x{side} ({error!s:.200})") from None
            continue
        if sr.shape != (1, 3, scale * side, scale * side):
            raise OfhkitError(f"the pipeline answers {tuple(sr.shape)} to a face of {side}x{side}, scale {scale}")
        if not sr.isfinite().all():
            raise OfhkitError("the pipeline answers NaN to a face that is all hole")
        return
