"""How near a hallucinated face is to the true one, pixel by pixel and as a network sees it."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ofhkit.functional.image_quality import pool_ssim, psnr, ssim_map
from ofhkit.functional.vif import vif
from ofhkit.metrics.base import PerImageMetric, regions
from ofhkit.models.losses.perceptual import lpips_maps, pool_lpips
from ofhkit.registry import METRICS

__all__ = ["LPIPS", "PSNR", "SSIM", "VIF"]


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
class VIF(PerImageMetric):
    """Visual information fidelity of the luminance in the pixel domain: the share of the true face's information left.

    It rewards contrast, also false contrast, and can exceed 1; a shifted picture loses nearly all of it.
    """

    name, decimals, higher_is_better = "VIF", 4, True

    def measure(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        return {"VIF": vif(sr, hr)}
