"""Weights as safetensors, with a JSON header that says what they are; loaded strictly, and never believed unchecked."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from ofhkit.errors import OfhkitError, printable
from ofhkit.runtime.files import atomic_write

MODEL = "model.safetensors"  # a finished run's pipeline
HEADER_KEY = "ofhkit"
_MAX_BYTES, _MAX_HEADER = 2**32, 2**20


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], source: str) -> str:
    """Load weights; every key must match in name and shape (but for empty tensors). Returns "matched N/N tensors".

    An empty tensor takes the size of what is loaded: the network that holds it follows its data.

    Raises:
        OfhkitError: counts and the first names that are missing, unexpected, of another shape or another kind.
    """
    count = check_fit(module, state, source)
    module.load_state_dict(state)
    return count


def check_fit(module: nn.Module, state: Mapping[str, Tensor], source: str) -> str:
    """Hold weights against a module as :func:`load_strictly` does, and load nothing."""
    own = module.state_dict()
    shared = [(name, state[name], own[name]) for name in own if name in state]
    reshaped = [(n, tuple(f.shape), tuple(w.shape)) for n, f, w in shared if w.numel() and f.shape != w.shape]
    other = [(n, _kind(f), _kind(w)) for n, f, w in shared if _kind(f) != _kind(w)]
    wrong = {
        "missing": sorted(set(own) - set(state)),
        "unexpected": sorted(set(state) - set(own)),
        "other shape": [f"{name} {found} for {wanted}" for name, found, wanted in reshaped],
        "other kind": [f"{name} {found} for {wanted}" for name, found, wanted in other],
    }
    if any(wrong.values()):
        matched = len(shared) - len({name for name, *_ in (*reshaped, *other)})
        parts = [
            f"{label}: {', '.join(f'{name:.80}' for name in names[:3])}{' …' if len(names) > 3 else ''}"
            for label, names in wrong.items()
            if names
        ]
        count = f"matched {matched}/{len(own)} tensors"
        raise OfhkitError(
            f"{source} does not fit this {type(module).__name__}: {count}; {'; '.join(parts)}", path=source
        )
    return f"matched {len(own)}/{len(own)} tensors"


def _kind(tensor: Tensor) -> str:
    """Floats may be kept in fewer or more bits than they are computed in; whole numbers and booleans may not."""
    return "float" if tensor.is_floating_point() else str(tensor.dtype).removeprefix("torch.")


def check_finite(tensors: Mapping[str, Tensor], source: str | Path) -> None:
    """Refuse weights that are no numbers in float32, in which they are computed with.

    Raises:
        OfhkitError: names the first tensor with NaN or infinity.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.float().isfinite().all():
            raise OfhkitError(
                f"{source}: the tensor {name!r} holds NaN or infinity; train again or get another file", path=source
            )


def save_weights(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> Path:
    """Write safetensors with ``header`` (JSON values) atomically."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    if not plain:  # safetensors refuses no tensors at all: a pipeline without parameters is one empty tensor
        plain = {"_": torch.zeros(0)}
    return atomic_write(path, safetensors_bytes(plain, metadata={HEADER_KEY: json.dumps(header)}))


def load_weights(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """Read safetensors written by :func:`save_weights`: (tensors, header).

    Raises:
        OfhkitError: no such file, not safetensors, not written by ofhkit, too large, or with NaN or infinity in it.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise OfhkitError(f"no weights {path}", path=path)
        if path.stat().st_size > _MAX_BYTES:
            raise OfhkitError(f"{path} is larger than {_MAX_BYTES:,} bytes, which no weights of ofhkit are", path=path)
        with safe_open(str(path), framework="pt") as file:
            header = _header(path, (file.metadata() or {}).get(HEADER_KEY))
            tensors = {name: file.get_tensor(name) for name in file.keys() if name != "_"}  # noqa: SIM118
    except (SafetensorError, OSError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise OfhkitError(f"{path} is not a readable safetensors file ({first_line(error):.200})", path=path) from None
    check_finite(tensors, path)
    return tensors, header


def _on_one_line(value: Any) -> Any:
    """Write out, in all texts of a header, what a terminal or a table would obey."""
    if isinstance(value, str):
        return printable(value).replace("\n", " ").replace("\t", " ")
    if isinstance(value, dict):
        return {_on_one_line(key): _on_one_line(inner) for key, inner in value.items()}
    return [_on_one_line(inner) for inner in value] if isinstance(value, list) else value


def _header(path: Path, text: str | None) -> dict:
    """What a file says of itself."""
    if text is None:
        raise OfhkitError(f"{path} has no ofhkit header; name a model.safetensors that ofhkit train wrote", path=path)
    if len(text) > _MAX_HEADER:
        raise OfhkitError(f"{path}: its header is longer than {_MAX_HEADER:,} characters", path=path)
    try:
        header = _on_one_line(json.loads(text))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise OfhkitError(f"{path}: its header is no JSON object, or is nested too deep", path=path)
    return header


def component_weights(path: str | Path, component: str) -> dict[str, Tensor]:
    """Read a component's weights out of its own file or of a whole pipeline's ``model.safetensors``.

    Raises:
        OfhkitError: no such file, or not one of ours.
    """
    tensors, _ = load_weights(path)
    own = {k.removeprefix(f"{component}."): v for k, v in tensors.items() if k.startswith(f"{component}.")}
    return own or tensors


def first_line(error: Exception) -> str:
    """The first sentence of an error's text."""
    return (str(error) or type(error).__name__).splitlines()[0].partition(". ")[0]
