"""Rows that need no configuration: each inpainter + bicubic, Telea + bicubic, and the mean face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ofhkit.data.sampler import fetch
from ofhkit.errors import OfhkitError
from ofhkit.evaluation.pipelines import Pipeline
from ofhkit.models.inpainters import GaussianInpainter
from ofhkit.registry import DATASETS, HALLUCINATORS, UPSAMPLERS
from ofhkit.runtime.devices import device_of

__all__ = ["MEAN_FACE", "with_baselines"]

MEAN_FACE = "mean face"
_FACES = 4096  # of which the mean is taken, spread evenly over the training split
_BATCH = 256


class LeaveHole(nn.Module):
    """The inpainter that does nothing: the hole stays as it is."""

    def forward(self, lr: Tensor, mask: Tensor) -> Tensor:
        """Return ``lr`` (N, 3, H, W)."""
        return lr


def with_baselines(pipelines: Sequence[Pipeline]) -> tuple[list[Pipeline], list[str]]:
    """Put the mean face, Telea + bicubic and, for each kind of inpainter among them, inpainter + bicubic before others.

    What is there already is not added again.

    Returns:
        The rows, and a note where the mean face is left out because there are no training faces.
    """
    there = {p.method for p in pipelines}
    like = pipelines[0]
    added, notes = [], []
    if MEAN_FACE not in there:
        try:
            added.append(_assemble(like, MEAN_FACE, "mean of the training faces", LeaveHole(), _mean_face(like.config)))
        except OfhkitError as error:
            notes.append(f"no row for the mean face: {error}")
    bicubic = dict(type="Bicubic")
    if "Telea+bicubic" not in there:
        added.append(_assemble(like, "Telea+bicubic", "no training", dict(type="Telea"), bicubic))
    for kind in ("IN", "Gaussian"):
        like = next((p for p in pipelines if _kind(p) == kind), None)
        if like is not None and not any(method.startswith(f"{kind}+bicubic") for method in there):
            added.append(_assemble(like, f"{kind}+bicubic", like.name, like.model.inpainter, bicubic, like.model.info))
    return [*added, *pipelines], notes


def _kind(pipeline: Pipeline) -> str:
    """What a row's name calls the inpainter: the paper's IN, or the face prior."""
    return "Gaussian" if isinstance(pipeline.model.inpainter, GaussianInpainter) else "IN"


def _assemble(
    like: Pipeline, method: str, name: str, inpainter: Any, upsampler: Any, info: Mapping[str, Any] | None = None
) -> Pipeline:
    """A row without a weights file of its own: its ``sha256`` is empty, whoever's inpainter (with ``info``) it has."""
    model = HALLUCINATORS.build(dict(type="FaceHallucinator", inpainter=inpainter, upsampler=upsampler))
    model.info = {"budget": 0.0, **(info or {}), "method": method}
    return Pipeline(method, name, model.to(device_of(like.model)).eval(), like.config)


def _mean_face(config: Any) -> nn.Module:
    train = DATASETS.build(config.data.dataset, split="train")
    chosen = [i * len(train) // min(_FACES, len(train)) for i in range(min(_FACES, len(train)))]
    mean = None
    for start in range(0, len(chosen), _BATCH):
        hr = fetch(train, chosen[start : start + _BATCH])["hr"].float() / 255
        size = hr.shape[-1] // 8
        mean = mean or UPSAMPLERS.build(dict(type="MeanFace", image_size=size))
        mean.partial_fit(hr.new_zeros(len(hr), 3, size, size), hr)
    if mean is None:
        raise OfhkitError("the training split is empty")
    mean.finalise()
    return mean
