"""Visual information fidelity in the pixel domain: how much of the reference's information the picture still carries.

Reference: H. R. Sheikh, A. C. Bovik, "Image information and visual quality", IEEE TIP 2006; the authors' multi-scale
pixel-domain form (vifp): four scales, Gaussian windows of 17, 9, 5 and 3, noise variance 2 on grey values 0..255.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ofhkit.errors import OfhkitError
from ofhkit.functional.precision import constant, no_autocast

__all__ = ["vif"]

_LUMINANCE = (0.299, 0.587, 0.114)
_WINDOWS = (17, 9, 5, 3)
_NOISE = 2.0
_SMALL = 1e-10


def vif(sr: Tensor, hr: Tensor) -> Tensor:
    """Pixel-domain VIF of the luminance: 1 for the reference itself, 0 where nothing of it is left.

    More contrast than the reference's can give more than 1. Computed in float64: variances are differences of squares.

    Shape:
        sr, hr (N, 3, H, W) in [0, 1], H and W at least 41 (the windows at four scales). Output (N,).

    Raises:
        OfhkitError: shapes that differ, or images that are too small.

    >>> face = torch.rand(1, 3, 64, 64)
    >>> round(vif(face, face).item(), 6)
    1.0
    """
    if sr.shape != hr.shape or hr.ndim != 4 or hr.shape[1] != 3 or min(hr.shape[-2:]) < 41:
        raise OfhkitError(
            f"VIF reads equal batches (N, 3, H, W) of at least 41x41, got {tuple(sr.shape)} and {tuple(hr.shape)}"
        )
    weights = sr.new_tensor(_LUMINANCE, dtype=torch.float64)
    x, y = (255 * torch.einsum("nchw,c->nhw", image.double(), weights)[:, None] for image in (hr, sr))
    kept = total = torch.zeros(len(hr), dtype=torch.float64, device=hr.device)
    with no_autocast(hr.device):
        for scale, size in enumerate(_WINDOWS):
            if scale:
                x, y = (_blur(image, size)[..., ::2, ::2] for image in (x, y))
            of_this, of_all = _information(x, y, size)
            kept, total = kept + of_this, total + of_all
    return torch.where(total > 0, kept / total, (sr == hr).flatten(1).all(1).double())


def _information(x: Tensor, y: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Information of the reference x that y = gain * x + noise carries, and all that x has, summed over positions."""
    mean_x, mean_y, xx, yy, xy = (_blur(z, size) for z in (x, y, x * x, y * y, x * y))
    var_x, var_y = (xx - mean_x * mean_x).clamp(min=0), (yy - mean_y * mean_y).clamp(min=0)
    covariance = xy - mean_x * mean_y
    gain = covariance / (var_x + _SMALL)
    rest = var_y - gain * covariance
    flat_x, flat_y, opposed = var_x < _SMALL, var_y < _SMALL, gain < 0
    gain = torch.where(flat_x | flat_y | opposed, 0.0, gain)
    rest = torch.where(flat_x | opposed, var_y, torch.where(flat_y, 0.0, rest)).clamp(min=_SMALL)
    var_x = torch.where(flat_x, 0.0, var_x)
    kept = torch.log10(1 + gain.square() * var_x / (rest + _NOISE))
    return kept.sum((1, 2, 3)), torch.log10(1 + var_x / _NOISE).sum((1, 2, 3))


def _blur(image: Tensor, size: int) -> Tensor:
    """Gaussian of ``size`` taps and a fifth of it as deviation, at the positions where it fits."""
    window = constant(("vif", size), lambda: _window(size), image.dtype, image.device)
    return F.conv2d(F.conv2d(image, window[None, None, None]), window[None, None, :, None])


def _window(size: int) -> np.ndarray:
    window = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * (size / 5) ** 2))
    return window / window.sum()
