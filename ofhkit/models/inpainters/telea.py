"""Telea's fast marching inpainting, the baseline without training.

Reference: A. Telea, "An image inpainting technique based on the fast marching method", Journal of Graphics Tools
9(1), 2004, as OpenCV implements it.

Differs from the paper: OpenCV works on 8-bit images, so the face is rounded to 256 levels on the way in; one image at
a time on the CPU, and no gradient flows through it.
"""

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ofhkit.functional.images import to_float, to_uint8
from ofhkit.registry import INPAINTERS


@INPAINTERS.register_module()
class Telea(nn.Module):
    """Fill the hole of a tiny face from its rim.

    Args:
        radius: how far, in pixels, a filled pixel looks around.

    Shape:
        - lr: (N, 3, H, W) RGB in [0, 1]
        - mask: (N, 1, H, W), 1 = occluded
        - output: (N, 3, H, W) in [0, 1], in steps of 1/255, without gradient

    >>> Telea()(torch.rand(2, 3, 16, 16), torch.zeros(2, 1, 16, 16)).shape
    torch.Size([2, 3, 16, 16])
    """

    not_exported = "it calls OpenCV, image by image, which no graph can hold"

    def __init__(self, radius: float = 3.0):
        super().__init__()
        self.radius = radius

    @torch.no_grad()
    def forward(self, lr: Tensor, mask: Tensor) -> Tensor:
        faces = to_uint8(lr)
        holes = (mask[:, 0] > 0.5).byte().cpu().numpy()
        filled = [cv2.inpaint(face, hole, self.radius, cv2.INPAINT_TELEA) for face, hole in zip(faces, holes)]
        stacked = np.stack(filled) if filled else faces
        return to_float(stacked).to(lr.device, lr.dtype)
