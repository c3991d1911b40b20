"""What can be compared on the page: the models that ship, files of one's own, and two baselines without training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ofhkit.models.inference import faster
from ofhkit.models.pipeline import FaceHallucinator
from ofhkit.registry import HALLUCINATORS
from ofhkit.zoo import load_model, zoo

__all__ = ["Method", "installed_methods"]


@dataclass(frozen=True)
class Method:
    """A row of the comparison.

    Attributes:
        name: unique on the page.
        note: one line under it: how it was made, and its licence.
        model: on the CPU, in eval mode.
    """

    name: str
    note: str
    model: FaceHallucinator


def installed_methods(files: Sequence[str | Path] = ()) -> list[Method]:
    """Load every model that ships and every file named, fused; then bicubic baselines, Telea's first.

    Raises:
        OfhkitError: a file is not a pipeline.

    >>> [m.name for m in installed_methods()][-1]
    'Telea + bicubic'
    """
    methods: list[Method] = []
    for source in [*zoo(), *files]:
        model = load_model(source, "cpu")
        info = model.info
        name = str(info["name"])
        while any(m.name == name for m in methods):
            name += "'"
        note = " · ".join(str(info[key]) for key in ("method", "licence") if info.get(key))
        methods.append(Method(name, note, faster(model)))
    if methods:
        first = methods[0]
        model = _baseline(first.model.inpainter, {**first.model.info, "name": "inpainter-bicubic"})
        methods.append(Method("Inpainter + bicubic", f"the hole by {first.name}, then interpolation", model))
    telea = _baseline(dict(type="Telea"), {"name": "telea-bicubic"})
    methods.append(Method("Telea + bicubic", "no training at all", telea))
    return methods


def _baseline(inpainter: object, info: dict) -> FaceHallucinator:
    model = HALLUCINATORS.build(dict(type="FaceHallucinator", inpainter=inpainter, upsampler=dict(type="Bicubic")))
    model.info = info
    return model.eval()
