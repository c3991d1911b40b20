"""A small face detector for whole photographs: Tiny YOLO v2 with separable convolutions, pretrained.

Reference: @vladmandic/face-api 1.7.15, ``tiny_face_detector_model`` (MIT; after J.-H. Mühler's face-api.js); J. Redmon,
A. Farhadi, "YOLO9000: better, faster, stronger", CVPR 2017, Sections 2-3. 193,321 weights, stored in 8 bits.

Differs from the original, which resizes with TensorFlow's bilinear filter: pictures are reduced by area averaging.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.errors import OfhkitError
from ofhkit.models.quantised import SeparableConv, load_quantised, pad_same
from ofhkit.runtime.files import asset

MEAN = (117.001, 114.697, 97.404)
ANCHORS = ((1.603231, 2.094468), (6.041143, 7.080126), (2.882459, 3.518061), (4.266906, 5.178857), (9.041765, 10.66308))
STRIDE = 32


class TinyFaceDetector(nn.Module):
    """Boxes of the faces in a picture.

    Shape:
        - input: (N, 3, S, S) RGB 0..255, S a multiple of 32
        - output: (N, 5 * 5, S / 32, S / 32): for each of five anchors x, y, width, height, score before activation

    >>> TinyFaceDetector()(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 25, 2, 2])
    """

    def __init__(self):
        super().__init__()
        self.conv0 = nn.Conv2d(3, 16, 3)
        self.conv1 = SeparableConv(16, 32)
        self.conv2 = SeparableConv(32, 64)
        self.conv3 = SeparableConv(64, 128)
        self.conv4 = SeparableConv(128, 256)
        self.conv5 = SeparableConv(256, 512)
        self.conv8 = nn.Conv2d(512, 25, 1)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.load_state_dict(load_quantised(asset("tiny_face_detector.safetensors")))
        self.requires_grad_(False)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / 255
        for conv in (self.conv0, self.conv1, self.conv2, self.conv3, self.conv4):
            x = pool(F.leaky_relu(conv(x), 0.1), 2)  # S/2, S/4, S/8, S/16, S/32
        x = pool(F.leaky_relu(self.conv5(x), 0.1), 1)
        return self.conv8(x)

    @torch.inference_mode()
    def detect(self, image: np.ndarray, size: int = 416, score: float = 0.5, overlap: float = 0.4) -> np.ndarray:
        """Find faces in a picture of any size.

        Args:
            image: RGB.
            size: side to which the picture's larger side is brought; small faces in large pictures need more.
            score: boxes below are dropped.
            overlap: of two boxes that overlap more (intersection over union), the better one stays.

        Shape:
            (H, W, 3) uint8 -> (faces, 5) float64: left, top, width, height in pixels, score; best first

        Raises:
            OfhkitError: not an RGB uint8 picture, or ``size`` is no multiple of 32.
        """
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise OfhkitError(f"expected a picture (H, W, 3) of uint8, got {image.shape} of {image.dtype}")
        if size % STRIDE or size < STRIDE:
            raise OfhkitError(f"the detector's size must be a multiple of {STRIDE}, got {size}")
        height, width = image.shape[:2]
        side = max(height, width)
        square = np.zeros((side, side, 3), np.uint8)
        square[:height, :width] = image
        if side != size:
            square = cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)
        x = torch.from_numpy(square).to(self.mean.device).permute(2, 0, 1)[None].float()
        found = decode(self(x)[0].double().cpu(), score).numpy()
        found[:, :4] *= side
        return suppress(found, overlap)


def pool(x: Tensor, stride: int) -> Tensor:
    """2x2 max pool with ``SAME`` padding."""
    return F.max_pool2d(pad_same(x, 2, stride, -torch.inf), 2, stride)


def decode(output: Tensor, score: float) -> Tensor:
    """Boxes above a score from the network's output.

    Shape:
        (25, n, n) -> (boxes, 5): left, top, width, height as fractions of the square, score
    """
    n = output.shape[-1]
    x, y, w, h, confidence = output.view(len(ANCHORS), 5, n, n).unbind(1)
    cell = torch.arange(n, dtype=output.dtype)
    anchors = torch.tensor(ANCHORS, dtype=output.dtype)
    width, height = w.exp() * anchors[:, 0, None, None] / n, h.exp() * anchors[:, 1, None, None] / n
    left, top = (cell + x.sigmoid()) / n - width / 2, (cell[:, None] + y.sigmoid()) / n - height / 2
    boxes = torch.stack([left, top, width, height, confidence.sigmoid()], -1)
    return boxes[boxes[..., 4] > score]


def suppress(boxes: np.ndarray, overlap: float) -> np.ndarray:
    """Keep the best of the boxes that overlap, best first.

    Shape:
        (boxes, 5): left, top, width, height, score -> (kept, 5)

    >>> suppress(np.array([[0, 0, 9, 9, 0.6], [1, 0, 9, 9, 0.9], [20, 0, 9, 9, 0.7]]), 0.4)[:, 4].tolist()
    [0.9, 0.7]
    """
    kept = cv2.dnn.NMSBoxes(boxes[:, :4].tolist(), boxes[:, 4].tolist(), 0.0, overlap)
    return boxes[np.asarray(kept, int)]
