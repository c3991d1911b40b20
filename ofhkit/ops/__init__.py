"""Fused upsampling operators, the fast twins of networks for inference.

The toolkit's other rooms import from here only.
"""

from ofhkit.ops.conv3x3 import Conv3x3
from ofhkit.ops.fusion import FusedNetwork, fuse
from ofhkit.ops.head import upsampling_head
from ofhkit.ops.jit_c import device_name
from ofhkit.ops.layouts import MatmulConv2d
from ofhkit.ops.norm_upsample import UPSAMPLED_COPIES, UpsampledBatchNorm2d, norm_relu_upsample
from ofhkit.ops.onednn import FastConv2d, FusedHead
from ofhkit.ops.twins import (
    FusedDecoderBlock,
    FusedResidualBlock,
    FusedTrunk,
    WithEnlargement,
    WithMask,
    affine,
    fold,
    fold_skip,
    signed_range,
)
from ofhkit.ops.upsample_conv import UpsampleConv2d, set_implementation, upsample_conv2d

__all__ = [
    "UPSAMPLED_COPIES", "Conv3x3", "FastConv2d", "FusedDecoderBlock", "FusedHead", "FusedNetwork", "FusedResidualBlock",
    "FusedTrunk", "MatmulConv2d", "UpsampleConv2d", "UpsampledBatchNorm2d", "WithEnlargement", "WithMask", "affine",
    "device_name", "fold", "fold_skip", "fuse", "norm_relu_upsample", "set_implementation", "signed_range",
    "upsample_conv2d", "upsampling_head",
]  # fmt: skip
