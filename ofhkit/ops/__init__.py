"""Fused upsampling operators, the fast twins of networks for inference, and layers that span several processes.

The toolkit's other rooms import from here only.
"""

from ofhkit.ops.batch_norm import UpsampledBatchNorm2d
from ofhkit.ops.conv3x3 import Conv3x3
from ofhkit.ops.folding import affine, fold, fold_skip
from ofhkit.ops.fusion import FusedNetwork, fuse
from ofhkit.ops.global_dropout import GlobalDropout
from ofhkit.ops.head import upsampling_head
from ofhkit.ops.malloc import set_malloc_policy
from ofhkit.ops.matmul_conv import MatmulConv2d
from ofhkit.ops.micro_batched_loss import micro_batched_loss
from ofhkit.ops.norm_upsample import norm_relu_upsample
from ofhkit.ops.onednn import FastConv2d, FusedHead
from ofhkit.ops.processor import device_name
from ofhkit.ops.sync_batch_norm import SynchronisedBatchNorm2d
from ofhkit.ops.twins import (
    FusedDecoderBlock,
    FusedResidualBlock,
    FusedTrunk,
    WithEnlargement,
    WithMask,
    signed_range,
)
from ofhkit.ops.upsample_conv import UpsampleConv2d, set_implementation, upsample_conv2d

__all__ = [
    "Conv3x3",
    "FastConv2d",
    "FusedDecoderBlock",
    "FusedHead",
    "FusedNetwork",
    "FusedResidualBlock",
    "FusedTrunk",
    "GlobalDropout",
    "MatmulConv2d",
    "SynchronisedBatchNorm2d",
    "UpsampleConv2d",
    "UpsampledBatchNorm2d",
    "WithEnlargement",
    "WithMask",
    "affine",
    "device_name",
    "fold",
    "fold_skip",
    "fuse",
    "micro_batched_loss",
    "norm_relu_upsample",
    "set_implementation",
    "set_malloc_policy",
    "signed_range",
    "upsample_conv2d",
    "upsampling_head",
]
