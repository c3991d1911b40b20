"""Between pictures (bytes, channels last) and tensors (float, channels first), and into PNG files."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import torch
from torch import Tensor

__all__ = ["encode_png", "png_uri", "to_float", "to_uint8"]


def to_float(images: np.ndarray) -> Tensor:
    """Pictures (..., H, W, 3) uint8 -> tensor (..., 3, H, W) float32 in [0, 1].

    >>> to_float(np.full((2, 4, 4, 3), 255, np.uint8)).shape
    torch.Size([2, 3, 4, 4])
    """
    return torch.from_numpy(np.ascontiguousarray(images)).movedim(-1, -3).float() / 255


def to_uint8(images: Tensor) -> np.ndarray:
    """Tensor (..., 3, H, W) -> pictures (..., H, W, 3) uint8: clamped to [0, 1], rounded; NaN becomes black.

    >>> to_uint8(torch.tensor([0.0, 0.5, 2.0]).view(3, 1, 1)).tolist()
    [[[0, 128, 255]]]
    """
    scaled = images.detach().float().cpu().clamp(0, 1).nan_to_num(0).mul(255).round()
    return np.ascontiguousarray(scaled.to(torch.uint8).movedim(-3, -1).numpy())


def encode_png(image: np.ndarray) -> bytes:
    """A picture (H, W, 3) RGB or (H, W) grey, uint8, as the bytes of a PNG file."""
    done, data = cv2.imencode(".png", image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert done
    return data.tobytes()


def png_uri(image: np.ndarray) -> str:
    """A picture as a ``data:`` address.

    >>> png_uri(np.zeros((2, 2, 3), np.uint8))[:22]
    'data:image/png;base64,'
    """
    return "data:image/png;base64," + base64.b64encode(encode_png(image)).decode()
