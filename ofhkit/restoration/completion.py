"""What lies in a photograph's hole: the prior's completion from all known pixels, and a model's detail on it."""

import numpy as np
import torch
from torch import Tensor, nn

from ofhkit.functional.images import to_float
from ofhkit.functional.resample import downsample_cubic
from ofhkit.functional.task import LR_SIZE
from ofhkit.models.inference import device_of, run_batches
from ofhkit.models.pipeline import FaceHallucinator

__all__ = ["DETAIL", "complete_crop"]

DETAIL = 0.7  # the model's share; chosen on validation faces (docs/results/photographs_detail.md)


@torch.no_grad()
def complete_crop(
    crop: np.ndarray,
    hole: np.ndarray,
    completer: nn.Module,
    model: FaceHallucinator | None = None,
    detail: float = DETAIL,
) -> Tensor:
    """Complete an aligned crop from its known pixels at full size, then mix in what a model makes of that face shrunk.

    A completion is the mean of what may lie there, and blurred; the model draws eyes and lips where the mean has them.

    Args:
        completer: inpainter of 128x128 faces.
        model: of :func:`ofhkit.load_model`; None: the completion alone.
        detail: the model's share, from 0 to 1.

    Shape:
        crop (128, 128, 3) uint8; hole (128, 128) bool -> (3, 128, 128) float in [0, 1]
    """
    device = device_of(completer)
    known, hidden = to_float(crop)[None].to(device), torch.from_numpy(hole)[None, None].float().to(device)
    filled = completer(known, hidden).cpu()
    if model is not None:
        small = downsample_cubic(filled, LR_SIZE).clamp(0, 1)
        drawn = run_batches(model, small, torch.zeros_like(small[:, :1])).sr
        filled = torch.lerp(filled, drawn.to(filled).clamp(0, 1), detail)
    return filled[0]
