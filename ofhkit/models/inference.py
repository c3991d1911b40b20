"""Small faces in, large faces out, by batches: and how well they agree with what was seen."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ofhkit.errors import OfhkitError
from ofhkit.functional.image_quality import psnr
from ofhkit.functional.resample import downsample_cubic
from ofhkit.models.uncertainty import noise
from ofhkit.ops import fuse
from ofhkit.runtime.devices import device_of

__all__ = ["Hallucinated", "device_of", "faster", "run_batches"]


@dataclass(frozen=True)
class Hallucinated:
    """The same as float tensors on the CPU, channels first: ``sr, completed, consistency, uncertainty, samples``."""

    sr: Tensor
    completed: Tensor
    consistency: Tensor
    uncertainty: Tensor | None = None
    samples: Tensor | None = None


def faster(model: nn.Module) -> nn.Module:
    """The same model with its networks in their fast forms; as it is where none of them has one."""
    try:
        return fuse(model)
    except OfhkitError:
        return model


@torch.no_grad()
def run_batches(
    model: nn.Module, lr: Tensor, mask: Tensor, batch_size: int = 64, uncertainty: bool = False, samples: int = 0
) -> Hallucinated:
    """Hallucinate any number of faces, ``batch_size`` at once, on the model's device.

    What lies under the hole is blackened first, so that no model sees it.

    Shape:
        lr (N, 3, 16, 16) in [0, 1]; mask (N, 1, 16, 16), 1 = occluded

    Raises:
        OfhkitError: a size that is not positive, or the model cannot say how sure it is or knows no other answers.
    """
    if batch_size < 1:
        raise OfhkitError(f"batch_size must be a positive whole number, got {batch_size}")
    if samples < 0:
        raise OfhkitError(f"samples must be a whole number, 0 or more, got {samples}")
    device = device_of(model)
    random = noise(samples, tuple(lr.shape), torch.Generator().manual_seed(0))
    parts: dict[str, list[Tensor]] = {}
    for x, m, z in zip(lr.split(batch_size), mask.split(batch_size), random.split(batch_size, 1)):
        x, m = x.to(device), m.to(device)
        x = x * (1 - m)
        found = model.predict(x, m)
        shrunk = downsample_cubic(found["sr"], x.shape[-1]).clamp(0, 1)
        score = psnr(shrunk, x.float(), 1.0, 1 - m)
        found["consistency"] = torch.where((m < 0.5).flatten(1).any(1), score, torch.full_like(score, torch.nan))
        if uncertainty:
            found["uncertainty"] = model.deviations(x, m, found["sr"])["sr_std"][:, 0]
        if samples:
            found["samples"] = model.sample(x, m, z.to(device))["sr"].transpose(0, 1)
        for name, value in found.items():
            parts.setdefault(name, []).append(value.float().cpu())
    if not parts:
        size = lr.shape[-1] * getattr(model, "scale", 8)
        return Hallucinated(torch.zeros(0, 3, size, size), lr, torch.zeros(0))
    return Hallucinated(**{name: torch.cat(values) for name, values in parts.items()})
