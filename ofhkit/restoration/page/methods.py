"""What can be compared on the page: the models that ship, files of one's own, and two baselines without training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ofhkit.models.inference import faster
from ofhkit.models.pipeline import FaceHallucinator
from ofhkit.registry import HALLUCINATORS
from ofhkit.zoo import DEFAULT_MODEL, load_model, zoo

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
    """Load every model that ships and every file named, fused: the default, the files, the others, best PSNR first.

    A baseline without training is the last.

    Raises:
        OfhkitError: a file is not a pipeline.

    >>> [m.name for m in installed_methods()][-1]
    'Telea + bicubic'
    """
    shipped = {name: load_model(name, "cpu") for name in zoo()}
    best = sorted(shipped, key=lambda name: (name != DEFAULT_MODEL, -shipped[name].info["metrics"]["PSNR"]))
    models = [shipped[name] for name in best]
    models[1:1] = [load_model(file, "cpu") for file in files]
    methods: list[Method] = []
    for model in models:
        name = str(model.info["name"])
        while any(m.name == name for m in methods):
            name += "'"
        note = " · ".join(str(model.info[key]) for key in ("method", "licence") if model.info.get(key))
        methods.append(Method(name, note, faster(model)))
    parts = dict(inpainter=dict(type="Telea"), upsampler=dict(type="Bicubic"))
    telea = HALLUCINATORS.build(dict(type="FaceHallucinator", **parts)).eval()
    telea.info = {"name": "telea-bicubic"}
    return [*methods, Method("Telea + bicubic", "no training at all", telea)]
