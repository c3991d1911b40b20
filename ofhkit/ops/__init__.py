"""Fused upsampling operators: plain reference, exact algebra, Triton kernels; one public function each."""

from ofhkit.ops.batch_norm import UpsampledBatchNorm2d, upsampled_batch_norm
from ofhkit.ops.folding import affine, batch_norm_affine, fold, fold_skip
from ofhkit.ops.fusion import FusedNetwork, fuse
from ofhkit.ops.memory import keep_freed_memory
from ofhkit.ops.onednn import FastConv2d, FusedHead
from ofhkit.ops.upsample_conv import (
    IMPLEMENTATIONS,
    UpsampleConv2d,
    phase_kernel,
    set_implementation,
    upsample_conv2d,
    upsample_nearest,
)

__all__ = [
    "IMPLEMENTATIONS",
    "FastConv2d",
    "FusedHead",
    "FusedNetwork",
    "UpsampleConv2d",
    "UpsampledBatchNorm2d",
    "affine",
    "batch_norm_affine",
    "fold",
    "fold_skip",
    "fuse",
    "keep_freed_memory",
    "phase_kernel",
    "set_implementation",
    "upsample_conv2d",
    "upsample_nearest",
    "upsampled_batch_norm",
]
