"""The pipeline of Figure 2 as one function: complete, paste, upsample."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn

from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.functional.paste import paste
from ofhkit.ops import fuse
from ofhkit.registry import DEGRADATIONS, INPAINTERS, UPSAMPLERS

_UPSAMPLER_INPUTS = ("completed", "mask")


class BaseHallucinator(BaseModel):
    """An inpainter and an upsampler; subclasses say how they are trained.

    Args:
        inpainter: component of role inpainter, or its configuration.
        upsampler: component of role upsampler, or its configuration.
        data_preprocessor: usually a :class:`ofhkit.data.degradation.Degradation`; not needed for inference.
    """

    def __init__(self, inpainter: nn.Module | dict, upsampler: nn.Module | dict, data_preprocessor: Any = None):
        super().__init__()
        if data_preprocessor is not None:
            self.data_preprocessor = DEGRADATIONS.build(data_preprocessor)
        self.inpainter = INPAINTERS.build(inpainter)
        self.upsampler = UPSAMPLERS.build(upsampler)
        self._upsampler_takes = upsampler_inputs(self.upsampler)  # read once: a fast form hides its signature

    def init_weights(self) -> None:
        """Nothing to do: every network initialises itself when it is built."""

    @property
    def scale(self) -> int:
        """How many times larger the output is."""
        return self.upsampler.scale

    def complete(self, lr: Tensor, mask: Tensor) -> Tensor:
        """Fill the hole of ``lr`` (N, 3, H, W) where ``mask`` (N, 1, H, W) is 1; known pixels stay bit-equal."""
        return paste(lr, self.inpainter(lr, mask).to(lr.dtype), mask)

    def upsample(self, completed: Tensor, mask: Tensor) -> Tensor:
        """Give the upsampler what its ``forward`` names: (N, 3, H, W) -> (N, 3, scale*H, scale*W), not clamped."""
        available = {"completed": completed, "mask": mask}
        return self.upsampler(*(available[name] for name in self._upsampler_takes))

    def forward(self, lr: Tensor, mask: Tensor) -> Tensor:
        """Hallucinate: (N, 3, 16, 16) in [0, 1] with holes -> (N, 3, 128, 128) in [0, 1]."""
        return self.predict(lr, mask)["sr"]

    def predict(self, lr: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Return ``completed`` (N, 3, 16, 16) and ``sr`` (N, 3, 128, 128), clamped to [0, 1], float32.

        What is no number stays none: Inf becomes NaN, which every metric refuses, and not white.
        """
        completed = self.complete(lr, mask)
        sr = self.upsample(completed, mask).float()
        return {"completed": completed, "sr": torch.where(sr.isinf(), torch.nan, sr.clamp(0, 1))}

    def fuse(self, precision: str = "float32", micro_batch: int | str = "auto") -> BaseHallucinator:
        """Return a copy for inference with every network in its fast form; see :func:`ofhkit.ops.fuse`.

        Networks without one (and those whose fast form fails its probe, with a warning) stay as they are.

        Raises:
            OfhkitError: unknown precision, or no network has a fast form.

        >>> from ofhkit.registry import HALLUCINATORS
        >>> model = HALLUCINATORS.build(dict(type='FaceHallucinator', inpainter=dict(type='EncoderDecoder'),
        ...     upsampler=dict(type='ResidualUpsampler')))
        >>> model.fuse()(torch.rand(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)).shape
        torch.Size([1, 3, 128, 128])
        """
        return fuse(self, precision=precision, micro_batch=micro_batch)

    @torch.no_grad()
    def test_step(self, data: dict) -> list[dict[str, Tensor]]:
        """Degrade a batch, hallucinate it, and return everything a metric may need, as one dict."""
        batch = self.data_preprocessor(data, training=False)
        return [{**batch, **self.predict(batch["lr"], batch["mask"])}]

    val_step = test_step


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


def freeze(network: nn.Module) -> nn.Module:
    """Stop gradients into the weights and put the network into eval mode (BatchNorm statistics must not drift)."""
    return network.requires_grad_(False).eval()
