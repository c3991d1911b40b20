"""Faces in, faces out: arrays of any common kind become one batch, and what comes back says how far to trust it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ofhkit.errors import OfhkitError
from ofhkit.functional.image_quality import psnr
from ofhkit.functional.resample import downsample_cubic
from ofhkit.models.uncertainty import uncertainty_of
from ofhkit.ops import fuse
from ofhkit.runtime.devices import device_of

__all__ = ["Hallucinated", "Result", "device_of", "faster", "hallucinate", "run_batches"]

EXPECTED = "(16, 16, 3) or (N, 16, 16, 3), or with the channels first (3, 16, 16) or (N, 3, 16, 16), RGB"


@dataclass(frozen=True)
class Result:
    """A hallucinated face, or a batch of them; ``np.asarray(result)`` is ``sr``.

    Attributes:
        sr: (…, 128, 128, 3) RGB, or (…, 3, 128, 128) where the input had its channels first; uint8 or float as the
            input. Hallucinated: not for identification.
        completed: the input with its hole filled, in the input's layout.
        mask: (…, 16, 16) bool, True = occluded.
        consistency: (…) PSNR in dB between ``sr``, shrunk again, and the known pixels; NaN where none is known.
        uncertainty: (…, 128, 128) standard deviation over several readings of the same input, in units of [0, 1], if
            asked for.
    """

    sr: np.ndarray
    completed: np.ndarray
    mask: np.ndarray
    consistency: np.ndarray
    uncertainty: np.ndarray | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.sr if dtype is None else self.sr.astype(dtype)

    @property
    def invented(self) -> np.ndarray:
        """(…, 128, 128) bool: pixels that stem from occluded ones and so from nothing that was seen."""
        scale = self.sr.shape[-2] // self.mask.shape[-1]
        return self.mask.repeat(scale, -1).repeat(scale, -2)


@dataclass(frozen=True)
class Hallucinated:
    """The same as float tensors on the CPU, channels first: ``sr, completed, consistency, uncertainty``."""

    sr: Tensor
    completed: Tensor
    consistency: Tensor
    uncertainty: Tensor | None


def hallucinate(
    model: nn.Module,
    image: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    batch_size: int = 64,
    uncertainty: bool = False,
) -> Result:
    """Turn tiny faces with holes into complete large ones.

    Several threads may call it with one model.

    Args:
        model: of :func:`ofhkit.load_model`.
        image: one face (16, 16, 3) or (3, 16, 16), or a batch (N, 16, 16, 3) or (N, 3, 16, 16); RGB, uint8, or float
            in [0, 1].
        mask: (16, 16) or (N, 16, 16); nonzero = occluded. None: nothing is.
        batch_size: faces that go through the network at once.
        uncertainty: also say where the model is unsure (takes several times as long).

    Raises:
        OfhkitError: another shape, type or range; says which was expected.

    >>> import ofhkit, numpy as np
    >>> from ofhkit.registry import HALLUCINATORS
    >>> model = HALLUCINATORS.build(dict(type='FaceHallucinator', inpainter=dict(type='EncoderDecoder'),
    ...     upsampler=dict(type='Bicubic'))).eval()
    >>> ofhkit.hallucinate(model, np.zeros((16, 16, 3), np.uint8), np.ones((16, 16))).sr.shape
    (128, 128, 3)
    """
    image = np.asarray(image)
    single = image.ndim == 3
    batch = image[None] if single else image
    first = _channels_first(batch, image.shape)
    integer = _check_values(batch)
    lr = torch.from_numpy(np.ascontiguousarray(batch if first else batch.transpose(0, 3, 1, 2)))
    holes = np.zeros((len(lr), *lr.shape[2:]), bool) if mask is None else np.asarray(mask) != 0
    holes = holes[None] if holes.ndim == 2 else holes
    if holes.shape != (len(lr), *lr.shape[2:]):
        size = tuple(lr.shape[2:])
        raise OfhkitError(f"mask must be {size} or {(len(lr), *size)}, nonzero = occluded; got {np.shape(mask)}")
    out = run_batches(
        model, lr.float() / (255 if integer else 1), torch.from_numpy(holes)[:, None].float(), batch_size, uncertainty
    )

    def back(t: Tensor) -> np.ndarray:
        array = (t * 255).round().to(torch.uint8).numpy() if integer else t.numpy().astype(batch.dtype)
        array = array if first else array.transpose(0, 2, 3, 1)
        return array[0] if single else array

    return Result(
        sr=back(out.sr),
        completed=back(out.completed),
        mask=holes[0] if single else holes,
        consistency=out.consistency.numpy()[0 if single else slice(None)],
        uncertainty=None if out.uncertainty is None else out.uncertainty.numpy()[0 if single else slice(None)],
    )


def _channels_first(batch: np.ndarray, given: tuple[int, ...]) -> bool:
    """Whether a batch is (N, 3, H, W); refuses what is neither that nor (N, H, W, 3)."""
    if batch.ndim == 4:
        for first, sides in ((False, batch.shape[1:3]), (True, batch.shape[2:])):
            if batch.shape[1 if first else 3] == 3 and all(side and side % 4 == 0 for side in sides):
                return first
    raise OfhkitError(f"image must be {EXPECTED}, got {given}")


def _check_values(batch: np.ndarray) -> bool:
    """Whether the values are uint8; refuses what is neither that nor float in [0, 1]."""
    if batch.dtype == np.uint8:
        return True
    if not np.issubdtype(batch.dtype, np.floating):
        raise OfhkitError(f"image must be uint8, or float in [0, 1], got {batch.dtype}")
    if not (np.isfinite(batch).all() and batch.min(initial=0) >= 0 and batch.max(initial=0) <= 1):
        raise OfhkitError("a float image must lie in [0, 1] and hold no NaN; divide by 255, or pass uint8")
    return False


def faster(model: nn.Module) -> nn.Module:
    """The same model with its networks in their fast forms; as it is where none of them has one."""
    try:
        return fuse(model)
    except OfhkitError:
        return model


@torch.no_grad()
def run_batches(
    model: nn.Module, lr: Tensor, mask: Tensor, batch_size: int = 64, uncertainty: bool = False
) -> Hallucinated:
    """Hallucinate any number of faces, ``batch_size`` at once, on the model's device.

    What lies under the hole is blackened first, so that no model sees it.

    Shape:
        lr (N, 3, 16, 16) in [0, 1]; mask (N, 1, 16, 16), 1 = occluded
    """
    if batch_size < 1:
        raise OfhkitError(f"batch_size must be a positive whole number, got {batch_size}")
    device = device_of(model)
    parts = []
    for x, m in zip(lr.split(batch_size), mask.split(batch_size)):
        x, m = x.to(device), m.to(device)
        x = x * (1 - m)
        out = model.predict(x, m)
        shrunk = downsample_cubic(out["sr"], x.shape[-1]).clamp(0, 1)
        score = psnr(shrunk, x.float(), 1.0, 1 - m)
        score = torch.where((m < 0.5).flatten(1).any(1), score, torch.full_like(score, torch.nan))
        apart = uncertainty_of(model, x, m, out["sr"]).cpu() if uncertainty else None
        parts.append((out["sr"].cpu(), out["completed"].float().cpu(), score.cpu(), apart))
    if not parts:
        size = lr.shape[-1] * getattr(model, "scale", 8)
        return Hallucinated(torch.zeros(0, 3, size, size), lr, torch.zeros(0), None)
    sr, completed, score, apart = zip(*parts)
    return Hallucinated(
        torch.cat(sr), torch.cat(completed), torch.cat(score), torch.cat(apart) if uncertainty else None
    )
