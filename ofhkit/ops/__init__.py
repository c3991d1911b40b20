"""Fused upsampling operators: plain reference, exact algebra, Triton kernels; one public function each."""

from ofhkit.ops.batch_norm import UpsampledBatchNorm2d, upsampled_batch_norm
from ofhkit.ops.upsample_conv import IMPLEMENTATIONS, UpsampleConv2d, phase_kernel, upsample_conv2d, upsample_nearest

__all__ = [
    "IMPLEMENTATIONS",
    "UpsampleConv2d",
    "UpsampledBatchNorm2d",
    "phase_kernel",
    "upsample_conv2d",
    "upsample_nearest",
    "upsampled_batch_norm",
]
