"""The pipeline of Figure 2: complete the face at low resolution, paste the known pixels, upsample.

Reference: arXiv 1811.04645, Section 3. How its networks learn is said in :mod:`ofhkit.training.stages`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.functional.masks import paste
from ofhkit.functional.resample import confine, dither, project
from ofhkit.models.uncertainty import Uncertainty, calibrated
from ofhkit.ops import fuse
from ofhkit.registry import HALLUCINATORS, INPAINTERS, UPSAMPLERS

_UPSAMPLER_INPUTS = ("completed", "mask")


@HALLUCINATORS.register_module()
class FaceHallucinator(nn.Module):
    """An inpainter and an upsampler.

    The other arguments are what the upsampler learns from: a configuration names them here, so that it reads like the
    figure, and :class:`ofhkit.training.stages.UpsamplerStage` builds them. Inference needs none of them.

    Args:
        inpainter: component of role inpainter, or its configuration.
        upsampler: component of role upsampler, or its configuration.
        losses: configuration: name -> loss term.
        discriminator: configuration of a component of role discriminator, or None.
        landmark_prior: configuration of a component of role prior, or None.
        consistent: move every face to the nearest one that, shrunk again, is the completed small face: before it is
            clamped to 1e-6, then nearly always to 1e-3, in a picture file of 8 bits too (it is dithered for that).
        flips: enlarge the completed face mirrored too, and take the mean of both; not while training. It takes the
            upsampler twice as long.

    Shape:
        - ``lr`` (N, 3, 16, 16) in [0, 1]; ``mask`` (N, 1, 16, 16), 1 = occluded
        - output: (N, 3, 128, 128) in [0, 1]
    """

    def __init__(
        self,
        inpainter: nn.Module | dict,
        upsampler: nn.Module | dict,
        losses: Mapping[str, Any] | None = None,
        discriminator: Mapping[str, Any] | None = None,
        landmark_prior: Mapping[str, Any] | None = None,
        consistent: bool | None = None,
        flips: bool | None = None,
    ):
        super().__init__()
        self.consistent, self.flips = bool(consistent), bool(flips)
        self.inpainter = INPAINTERS.build(inpainter)
        self.upsampler = UPSAMPLERS.build(upsampler)
        self.uncertainty: Uncertainty | None = None  # the calibration, where the weights' file has one
        self._upsampler_takes = upsampler_inputs(self.upsampler)  # read once: a fast form hides its signature

    @property
    def scale(self) -> int:
        """How many times larger the output is."""
        return self.upsampler.scale

    def complete(self, lr: Tensor, mask: Tensor) -> Tensor:
        """Fill the hole of ``lr`` (N, 3, H, W) where ``mask`` (N, 1, H, W) is 1; known pixels stay bit-equal."""
        return paste(lr, self.inpainter(lr, mask).to(lr.dtype), mask)

    def upsample(self, completed: Tensor, mask: Tensor) -> Tensor:
        """Give the upsampler what its ``forward`` names: (N, 3, H, W) -> (N, 3, scale*H, scale*W), not clamped."""
        sr = self._enlarge(completed, mask)
        if self.flips and not self.training:
            sr = (sr + self._enlarge(completed.flip(-1), mask.flip(-1)).flip(-1)) / 2
        return project(sr.float(), completed.float()) if self.consistent else sr

    def _enlarge(self, completed: Tensor, mask: Tensor) -> Tensor:
        available = {"completed": completed, "mask": mask}
        return self.upsampler(*(available[name] for name in self._upsampler_takes))

    def forward(self, lr: Tensor, mask: Tensor) -> Tensor:
        """Hallucinate: (N, 3, 16, 16) in [0, 1] with holes -> (N, 3, 128, 128) in [0, 1]."""
        return self.predict(lr, mask)["sr"]

    def predict(self, lr: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return ``completed`` (N, 3, 16, 16) and ``sr`` (N, 3, 128, 128), clamped to [0, 1], float32.

        Inf is mapped to NaN instead of being clamped to 1, so that metrics reject the image.
        """
        completed = self.complete(lr, mask)
        return {"completed": completed, "sr": self.finish(completed, mask)}

    def finish(self, completed: Tensor, mask: Tensor, consistent: bool | None = None) -> Tensor:
        """:meth:`upsample`, clamped to [0, 1]; ``consistent``: as the pipeline says."""
        consistent = self.consistent if consistent is None else consistent
        sr = self.upsample(completed, mask).float()
        inside = dither(confine(sr, completed.float())) if consistent else sr.clamp(0, 1)
        return torch.where(sr.isinf(), torch.nan, inside)

    def deviations(self, lr: Tensor, mask: Tensor, sr: Tensor) -> dict[str, Tensor]:
        """Return ``lr_std`` (N, 3, 16, 16) and ``sr_std`` (N, 1, 128, 128): 1.645 of them hold 90 % of the errors.

        Raises:
            OfhkitError: the pipeline was not calibrated.
        """
        return calibrated(self)(self.inpainter, lr, mask, sr)

    def sample(self, lr: Tensor, mask: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Other faces that fit what is seen as well, each consistent with it.

        Args:
            noise: (S, N, 3, 16, 16) of :func:`ofhkit.models.uncertainty.noise`: one answer from each.

        Returns:
            ``completed`` (S, N, 3, 16, 16) and ``sr`` (S, N, 3, 128, 128).
        """
        completed = self.sample_completions(lr, mask, noise)
        return {"completed": completed, "sr": torch.stack([self.finish(one, mask, True) for one in completed])}

    def sample_completions(self, lr: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
        """The completed small faces of :meth:`sample`.

        Raises:
            OfhkitError: the inpainter knows one answer only.
        """
        if not hasattr(self.inpainter, "draw"):
            raise OfhkitError(
                f"{type(self.inpainter).__name__} knows one completion only; several answers need a pipeline on "
                "GaussianInpainter, such as ofhnet-plus"
            )
        drawn = self.inpainter.draw(noise, mask).to(lr.dtype)
        if self.uncertainty is not None:
            drawn = drawn * self.uncertainty.stretch(self.inpainter, lr, mask)
        return paste(lr, (self.complete(lr, mask) + drawn).clamp(0, 1), mask)

    def fuse(self, precision: str = "float32", micro_batch: int | str = "auto") -> FaceHallucinator:
        """Return a copy for inference with every network in its fast form; see :func:`ofhkit.ops.fuse`.

        Networks without one (and those whose fast form fails its probe, with a warning) stay as they are.

        Raises:
            OfhkitError: unknown precision, or no network has a fast form.

        >>> model = FaceHallucinator(dict(type='EncoderDecoder'), dict(type='ResidualUpsampler'))
        >>> model.fuse()(torch.rand(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)).shape
        torch.Size([1, 3, 128, 128])
        """
        return fuse(self, precision=precision, micro_batch=micro_batch)


def upsampler_inputs(network: nn.Module) -> tuple[str, ...]:
    """Names of the batch keys that an upsampler's ``forward`` takes.

    The first parameter is the completed face, whatever its name; any other without a default names what it needs.

    Raises:
        OfhkitError: it names something that is not there when a face is hallucinated.

    >>> upsampler_inputs(UPSAMPLERS.build(dict(type='Bicubic')))
    ('completed',)
    """
    _, *others = inspect.signature(network.forward).parameters.values()
    names = [p.name for p in others if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    for name in names:
        if name not in _UPSAMPLER_INPUTS:
            raise OfhkitError(
                f"upsampler {type(network).__name__}: forward needs {name!r}, which is not known when a face is "
                f"hallucinated; {did_you_mean(name, _UPSAMPLER_INPUTS)}"
            )
    return ("completed", *names)
