"""How near a hallucinated face is to the true one, pixel by pixel and as a network sees it."""

from typing import ClassVar

import torch
from torch import Tensor

from ofhkit.errors import OfhkitError
from ofhkit.functional.image_quality import pool_ssim, psnr, ssim, ssim_map
from ofhkit.functional.masks import paste
from ofhkit.functional.resample import downsample_cubic
from ofhkit.functional.statistics import kernel_distances
from ofhkit.functional.vif import vif
from ofhkit.metrics.base import PerImageMetric, regions
from ofhkit.models.losses.perceptual import alexnet_features, lpips_maps, pool_lpips
from ofhkit.registry import METRICS

__all__ = ["KID", "LPIPS", "LRPSNR", "PSNR", "PSNRY", "SSIM", "SSIMY", "VIF", "Consistency"]


@METRICS.register_module()
class PSNR(PerImageMetric):
    """Peak signal-to-noise ratio in dB, RGB, all pixels; ``PSNR_hole`` and ``PSNR_known`` by region."""

    name, unit, decimals, higher_is_better, headline = "PSNR", "dB", 2, True, True
    parts: ClassVar = {"PSNR_hole": "PSNR in hole", "PSNR_known": "PSNR outside"}
    optional = ("PSNR_hole", "PSNR_known")

    def measure(self, sr: Tensor, hr: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return {name: psnr(sr, hr, 1.0, region) for name, region in regions("PSNR", mask)}


@METRICS.register_module()
class SSIM(PerImageMetric):
    """Structural similarity, RGB, valid positions; ``SSIM_hole`` and ``SSIM_known`` by the window's centre."""

    name, decimals, higher_is_better, headline = "SSIM", 4, True, True
    parts: ClassVar = {"SSIM_hole": "SSIM in hole", "SSIM_known": "SSIM outside"}
    optional = ("SSIM_hole", "SSIM_known")

    def measure(self, sr: Tensor, hr: Tensor, mask: Tensor) -> dict[str, Tensor]:
        similarity = ssim_map(sr, hr, 1.0)
        return {name: pool_ssim(similarity, hr, region) for name, region in regions("SSIM", mask)}


def luminance(face: Tensor) -> Tensor:
    """The luminance of the 8-bit picture, 16 to 235, rounded to bytes, without 8 pixels on every side (N, 1, H, W)."""
    weights = torch.tensor([65.481, 128.553, 24.966], dtype=torch.float64, device=face.device)
    y = torch.einsum("nchw,c->nhw", (255 * face).round().double(), weights) / 255 + 16
    return y.round()[:, None, 8:-8, 8:-8]


@METRICS.register_module()
class PSNRY(PerImageMetric):
    """PSNR in dB by DIC's rule: bytes of luminance, 8 pixels cut; 1.4 dB above that of RGB, so never mix the two."""

    name, title, unit, decimals, higher_is_better, headline = "PSNR_Y", "PSNR-Y", "dB", 2, True, True

    def measure(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        return {"PSNR_Y": psnr(luminance(sr), luminance(hr), 255)}


@METRICS.register_module()
class SSIMY(PerImageMetric):
    """SSIM by DIC's rule: bytes of luminance, 8 pixels cut, Gaussian window."""

    name, title, decimals, higher_is_better, headline = "SSIM_Y", "SSIM-Y", 4, True, True

    def measure(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        return {"SSIM_Y": ssim(luminance(sr), luminance(hr), 255)}


@METRICS.register_module()
class LPIPS(PerImageMetric):
    """Learned perceptual distance (AlexNet, version 0.1); ``LPIPS_hole`` and ``LPIPS_known`` from its maps."""

    name, decimals, higher_is_better, headline = "LPIPS", 4, False, True
    parts: ClassVar = {"LPIPS_hole": "LPIPS in hole", "LPIPS_known": "LPIPS outside"}
    optional = ("LPIPS_hole", "LPIPS_known")

    def measure(self, sr: Tensor, hr: Tensor, mask: Tensor) -> dict[str, Tensor]:
        maps = lpips_maps(sr, hr)
        return {name: pool_lpips(maps, hr, region) for name, region in regions("LPIPS", mask)}


@METRICS.register_module()
class KID(PerImageMetric):
    """Kernel distance of the set of hallucinated faces to that of the true ones, times 1000, on AlexNet's features.

    Not the KID of papers, whose features are InceptionV3's: compare it within a table only. It says nothing of single
    faces: a face's own value is its part of the sum.
    """

    name, title, decimals, higher_is_better = "KID", "KID x1000 (AlexNet)", 2, False

    def measure(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        return {"KID": torch.stack((alexnet_features(sr), alexnet_features(hr)), 1)}  # (N, 2, 256), scored at the end

    def compute_metrics(self, results: list[dict[str, Tensor]]) -> dict[str, float]:
        pairs = {i: pair for batch in results for i, pair in zip(batch["index"].tolist(), batch["KID"])}
        ours, theirs = torch.stack(list(pairs.values())).unbind(1)
        parts = torch.from_numpy(1000 * kernel_distances(ours.numpy(), theirs.numpy()))
        return super().compute_metrics([{"index": torch.tensor(list(pairs)), "KID": parts}])


@METRICS.register_module()
class VIF(PerImageMetric):
    """Visual information fidelity of the luminance in the pixel domain: the share of the true face's information left.

    It rewards contrast, also false contrast, and can exceed 1; a shifted picture loses nearly all of it.
    """

    name, decimals, higher_is_better = "VIF", 4, True

    def measure(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        return {"VIF": vif(sr, hr)}


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
        self, lr: Tensor, mask: Tensor, lr_gt: Tensor, completed: Tensor | None = None, lr_filled: Tensor | None = None
    ) -> dict[str, Tensor]:
        if completed is None:
            if lr_filled is None:
                raise OfhkitError("metric LRPSNR needs 'completed' or 'lr_filled', and this model gives neither")
            completed = paste(lr, lr_filled.clamp(0, 1), mask)
        return {"LRPSNR": psnr(completed, lr_gt, 1.0), "LRPSNR_hole": psnr(completed, lr_gt, 1.0, mask)}
