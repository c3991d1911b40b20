"""What can be judged at 16x16: the inpainter's work, and whether the answer agrees with the question."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ofhkit.errors import OfhkitError
from ofhkit.functional.image_quality import psnr
from ofhkit.functional.paste import paste
from ofhkit.functional.resample import downsample_cubic
from ofhkit.metrics.base import PerImageMetric
from ofhkit.registry import METRICS

__all__ = ["LRPSNR", "Consistency"]


@METRICS.register_module()
class Consistency(PerImageMetric):
    """PSNR in dB between the hallucinated face, shrunk again, and the input's known pixels."""

    name, title, unit, decimals, higher_is_better = "Consistency", "consistency", "dB", 2, True
    optional = ("Consistency",)

    def measure(self, sr: Tensor, lr: Tensor, mask: Tensor) -> dict[str, Tensor]:
        shrunk = downsample_cubic(sr, lr.shape[-1]).clamp(0, 1)
        return {"Consistency": psnr(shrunk, lr, 1.0, 1 - mask)}


@METRICS.register_module()
class LRPSNR(PerImageMetric):
    """PSNR in dB of the completed against the complete low-resolution face; ``LRPSNR_hole`` inside the hole.

    Where only the inpainter's raw output is given, the known pixels are pasted back first.
    """

    name, title, unit, decimals, higher_is_better = "LRPSNR", "LR-PSNR of IN", "dB", 2, True
    parts: ClassVar = {"LRPSNR_hole": "LR-PSNR in hole"}
    optional = ("LRPSNR_hole",)

    def measure(
        self,
        lr: Tensor,
        mask: Tensor,
        lr_gt: Tensor,
        completed: Tensor | None = None,
        lr_filled: Tensor | None = None,
    ) -> dict[str, Tensor]:
        if completed is None:
            if lr_filled is None:
                raise OfhkitError("metric LRPSNR needs 'completed' or 'lr_filled', and this model gives neither")
            completed = paste(lr, lr_filled.clamp(0, 1), mask)
        return {"LRPSNR": psnr(completed, lr_gt, 1.0), "LRPSNR_hole": psnr(completed, lr_gt, 1.0, mask)}
