"""Fused upsampling operators (reference, exact algebra, Triton kernels) and layers that span several processes."""

from ofhkit.ops.batch_norm import UpsampledBatchNorm2d, upsampled_batch_norm
from ofhkit.ops.conv3x3 import Conv3x3
from ofhkit.ops.folding import affine, batch_norm_affine, fold, fold_skip
from ofhkit.ops.fusion import FusedNetwork, fuse
from ofhkit.ops.global_dropout import GlobalDropout
from ofhkit.ops.head import upsampling_head
from ofhkit.ops.malloc import set_malloc_policy
from ofhkit.ops.matmul_conv import MatmulConv2d
from ofhkit.ops.micro_batched_loss import micro_batched_loss
from ofhkit.ops.onednn import FastConv2d, FusedHead
from ofhkit.ops.processor import device_name
from ofhkit.ops.sync_batch_norm import SynchronisedBatchNorm2d, synchronised_batch_norm
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
    "Conv3x3",
    "FastConv2d",
    "FusedHead",
    "FusedNetwork",
    "GlobalDropout",
    "MatmulConv2d",
    "SynchronisedBatchNorm2d",
    "UpsampleConv2d",
    "UpsampledBatchNorm2d",
    "affine",
    "batch_norm_affine",
    "device_name",
    "fold",
    "fold_skip",
    "fuse",
    "micro_batched_loss",
    "phase_kernel",
    "set_implementation",
    "set_malloc_policy",
    "synchronised_batch_norm",
    "upsample_conv2d",
    "upsample_nearest",
    "upsampled_batch_norm",
    "upsampling_head",
]
