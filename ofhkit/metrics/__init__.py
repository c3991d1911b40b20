"""MMEngine metrics: thin memories around the functions of :mod:`ofhkit.functional`."""

from ofhkit.metrics.base import PerImageMetric
from ofhkit.metrics.image_quality import KID, LPIPS, LRPSNR, PSNR, PSNRY, SSIM, SSIMY, VIF, Consistency
from ofhkit.metrics.semantics import NRMSE, Identity, LabelIoU, LandmarkError, ParsingIoU

__all__ = [
    "KID",
    "LPIPS", "LRPSNR", "NRMSE", "PSNR", "PSNRY", "SSIM", "SSIMY", "VIF", "Consistency", "Identity", "LabelIoU",
    "LandmarkError", "ParsingIoU", "PerImageMetric",
]  # fmt: skip
