"""What is scored by which rule: the paper's task, or the clean enlargement that later work prints its numbers by."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ofhkit.functional.task import LR_SIZE
from ofhkit.registry import DEGRADATIONS

__all__ = ["PROTOCOLS", "Protocol"]


class Protocol:
    """The paper's task, as the methods were trained: holes, RGB, all pixels, floating point."""

    metrics: Mapping[str, Any] = {}  # in place of those of the same name
    sweeps = True

    def degrade(self, configured: Mapping[str, Any], device: torch.device) -> Any:
        """Build what makes the input of a batch; it has the small face's ``size``."""
        return DEGRADATIONS.build(configured).to(device)

    def said(self, configured: Mapping[str, Any]) -> dict[str, Any]:
        """What stands under a table."""
        return {
            "rule": "ofhkit",
            "color": "RGB, float, [0, 1], clamped, all pixels, no border cut",
            "downsampling": "antialiased cubic (a = -0.5), clamped, not quantised",
            "degradation": configured.to_dict() if hasattr(configured, "to_dict") else dict(configured),
            "hole_seed": configured.get("test_seed", 0),
            "ssim": "Gaussian 11x11, sigma 1.5, K 0.01/0.03, valid region, mean of channels",
        }


class _Shrink:
    """Pillow's bicubic of the 8-bit face, which is 8-bit again; no hole."""

    size = LR_SIZE

    def __init__(self, device: torch.device):
        self.device = device

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        faces = batch["hr"].cpu().permute(0, 2, 3, 1).numpy()
        shrunk = [
            np.asarray(Image.fromarray(f).resize((self.size, self.size), Image.Resampling.BICUBIC)) for f in faces
        ]
        lr = torch.from_numpy(np.stack(shrunk)).permute(0, 3, 1, 2).to(self.device) / 255
        there = {key: v.to(self.device) if isinstance(v, Tensor) else v for key, v in batch.items()}
        return {**there, "hr": there["hr"] / 255, "lr": lr, "lr_gt": lr, "mask": torch.zeros_like(lr[:, :1])}


class DIC(Protocol):
    """Clean x8 as DIC (Ma et al., CVPR 2020), SPARNet and SFMNet print it: 8-bit luminance, 8 pixels cropped."""

    metrics: Mapping[str, Any] = {"psnr": dict(type="PSNRY"), "ssim": dict(type="SSIMY"), "lr_psnr": None}
    sweeps = False

    def degrade(self, configured: Mapping[str, Any], device: torch.device) -> Any:
        return _Shrink(device)

    def said(self, configured: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "rule": "dic",
            "color": "luminance (BT.601, 16 to 235) of the 8-bit picture, rounded to bytes, 8 pixels cut on every side",
            "downsampling": "Pillow's bicubic of the 8-bit face, 8 bits",
            "degradation": "none: no hole",
            "ssim": "Gaussian 11x11, sigma 1.5, K 0.01/0.03, valid region",
        }


PROTOCOLS = {"paper": Protocol(), "dic": DIC()}
