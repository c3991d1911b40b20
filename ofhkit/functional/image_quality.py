"""PSNR and SSIM of a batch, one number an image.

SSIM: Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, *Image quality assessment: from error visibility to
structural similarity*, IEEE TIP 2004: Gaussian window 11x11, sigma 1.5, K1 .01, K2 .03, population statistics, valid
positions only, mean over positions and channels. The window is separable, so blurring an image Z is T Z T' with a
banded matrix T: small matrix products, many times faster than a convolution, and equal to it up to rounding.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ofhkit.errors import OfhkitError
from ofhkit.functional.precision import constant, measuring_dtype, no_autocast

__all__ = ["SSIM_WINDOW", "enlarge_mask", "pool_ssim", "psnr", "ssim", "ssim_map"]

SSIM_WINDOW = 11
_SIGMA, _K1, _K2 = 1.5, 0.01, 0.03
_BORDER = SSIM_WINDOW // 2
_BLOCK = 24  # positions blurred by one matrix product; larger ones multiply more zeros


def psnr(sr: Tensor, hr: Tensor, data_range: float, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in dB over all pixels and channels, or over those where ``mask`` is 1.

    Identical images give infinity; an image whose mask is empty gives NaN.

    Shape:
        sr, hr (N, C, H, W), values spanning ``data_range``. mask (N, 1, h, w) in {0, 1} with H, W multiples of h, w
        (enlarged by repetition). Output (N,).

    Raises:
        OfhkitError: shapes that do not belong together.

    >>> psnr(torch.zeros(1, 3, 16, 16), torch.full((1, 3, 16, 16), 0.1), data_range=1.0)
    tensor([20.])
    """
    _check(sr, hr)
    dtype = measuring_dtype(sr, hr)
    squares = (sr.to(dtype) - hr.to(dtype)).square().mean(1)
    mse = squares.mean((1, 2)) if mask is None else _region_mean(squares, enlarge_mask(mask, hr)[:, 0])
    return 10 * torch.log10(data_range**2 / mse)


def ssim(sr: Tensor, hr: Tensor, data_range: float, mask: Tensor | None = None, chunk: int = 4) -> Tensor:
    """Structural similarity, or its mean over the valid positions whose centre lies where ``mask`` is 1.

    An image with no such position gives NaN.

    Shape:
        sr, hr (N, C, H, W), H, W >= 11, values in [0, data_range]. mask as in :func:`psnr`. Output (N,).

    Raises:
        OfhkitError: images smaller than the window, or shapes that do not belong together.

    >>> ssim(torch.eye(16).expand(1, 3, 16, 16), torch.eye(16).expand(1, 3, 16, 16), data_range=1.0)
    tensor([1.])
    """
    return pool_ssim(ssim_map(sr, hr, data_range, chunk), hr, mask)


def ssim_map(sr: Tensor, hr: Tensor, data_range: float, chunk: int = 4) -> Tensor:
    """SSIM at every valid position, averaged over channels; for several regions of the same images.

    ``chunk`` images are worked on at a time, so that they stay in the cache.

    Shape:
        sr, hr (N, C, H, W), H, W >= 11, values in [0, data_range]. Output (N, H-10, W-10).

    Raises:
        OfhkitError: as :func:`ssim`.
    """
    _check(sr, hr)
    if min(hr.shape[-2:]) < SSIM_WINDOW:
        raise OfhkitError(
            f"SSIM needs images of at least {SSIM_WINDOW}x{SSIM_WINDOW} pixels (its window), "
            f"got {hr.shape[-2]}x{hr.shape[-1]}; leave SSIM out or score larger images"
        )
    dtype = measuring_dtype(sr, hr)
    with no_autocast(hr.device):
        pairs = zip(sr.split(chunk), hr.split(chunk))
        return torch.cat([_similarity(x.to(dtype), y.to(dtype), data_range).mean(1) for x, y in pairs])


def pool_ssim(similarity: Tensor, like: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of an SSIM map, or of its positions whose centre lies where ``mask`` is 1 (none: NaN).

    Shape:
        similarity (N, H-10, W-10) of images ``like`` (N, C, H, W). mask as in :func:`psnr`. Output (N,).
    """
    if mask is None:
        return similarity.mean((1, 2))
    return _region_mean(similarity, enlarge_mask(mask, like)[:, 0, _BORDER:-_BORDER, _BORDER:-_BORDER])


def _similarity(sr: Tensor, hr: Tensor, data_range: float) -> Tensor:
    """SSIM of every channel at every valid position.

    Written in s = x + y and d = x - y, as 2xy = (s^2 - d^2) / 2 and x^2 + y^2 = (s^2 + d^2) / 2: two maps to blur, and
    their squares. s is taken about its middle, which saves float32 a decimal.
    """
    maps = torch.stack((sr + hr - data_range, sr - hr))
    means = _blur(maps)
    sum_variance, difference_variance = torch.addcmul(_blur(maps * maps), means, means, value=-1)
    sum_mean, difference_mean = (means[0] + data_range).square(), means[1].square()
    sum_mean = sum_mean + 2 * (_K1 * data_range) ** 2
    sum_variance = sum_variance + 2 * (_K2 * data_range) ** 2
    above = (sum_mean - difference_mean) * (sum_variance - difference_variance)
    return above / ((sum_mean + difference_mean) * (sum_variance + difference_variance))


def _blur(z: Tensor) -> Tensor:
    """T Z T' at the valid positions. T is banded and looks alike everywhere: it is applied a corner at a time."""
    band = constant(("gauss", _BLOCK), _gaussian_band, z.dtype, z.device)
    pieces = _blocks(z.shape[-1])
    z = torch.cat([z[..., i : i + n + 2 * _BORDER] @ band[:n, : n + 2 * _BORDER].mT for i, n in pieces], -1)
    pieces = _blocks(z.shape[-2])
    return torch.cat([band[:n, : n + 2 * _BORDER] @ z[..., i : i + n + 2 * _BORDER, :] for i, n in pieces], -2)


def _blocks(size: int) -> list[tuple[int, int]]:
    """Start and length of the blocks of valid positions along a side."""
    valid = size - 2 * _BORDER
    return [(start, min(_BLOCK, valid - start)) for start in range(0, valid, _BLOCK)]


def _gaussian_band() -> np.ndarray:
    """Matrix (block, block + 10) whose rows hold the Gaussian window, each one pixel further right."""
    window = np.exp(-((np.arange(SSIM_WINDOW) - _BORDER) ** 2) / (2 * _SIGMA**2))
    band = np.zeros((_BLOCK, _BLOCK + 2 * _BORDER))
    for row in range(_BLOCK):
        band[row, row : row + SSIM_WINDOW] = window / window.sum()
    return band


def enlarge_mask(mask: Tensor, like: Tensor) -> Tensor:
    """Repeat the pixels of a low-resolution mask until it is as large as the images ``like``.

    Shape:
        mask (N, 1, h, w). like (N, C, H, W), H and W multiples of h and w. Output (N, 1, H, W).

    Raises:
        OfhkitError: sizes that are no multiples, or another number of images.

    >>> enlarge_mask(torch.ones(1, 1, 16, 16), torch.ones(1, 3, 128, 128)).shape
    torch.Size([1, 1, 128, 128])
    """
    size = like.shape[-2:]
    fits = mask.ndim == 4 and mask.shape[1] == 1 and len(mask) == len(like)
    if not fits or any(big % small for big, small in zip(size, mask.shape[-2:])):
        raise OfhkitError(f"a mask of shape {tuple(mask.shape)} does not belong to images of shape {tuple(like.shape)}")
    return F.interpolate(mask.float(), size=size, mode="nearest")


def _region_mean(values: Tensor, region: Tensor) -> Tensor:
    region = region.to(values.dtype)
    return (values * region).sum((1, 2)) / region.sum((1, 2))


def _check(sr: Tensor, hr: Tensor) -> None:
    if sr.shape != hr.shape or hr.ndim != 4:
        raise OfhkitError(f"sr and hr must be equal batches (N, C, H, W), got {tuple(sr.shape)} and {tuple(hr.shape)}")
