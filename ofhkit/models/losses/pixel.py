"""Differences of faces (R2), of tiny faces (R1), of landmarks; every L2 is a mean over elements.

Reference: arXiv 1811.04645, Equations 1 and 2.

Differs from the paper, which does not say whether its norms are sums or means: every L2 is a mean over elements. Eq. 6
prints R1 where its text lists R2; R2 is taken.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ofhkit.functional.image_quality import ssim
from ofhkit.models.losses.base import LossTerm
from ofhkit.registry import LOSSES

_LEAST_ERROR = 1e-6  # mean squared; 60 dB, far above any face here, where the logarithm still has a slope


@LOSSES.register_module()
class PixelLoss(LossTerm):
    """R2, Eq. 2: mean squared error of the hallucinated face, in [0, 1] units."""

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        return F.mse_loss(sr, hr)


@LOSSES.register_module()
class PSNRLoss(LossTerm):
    """The negative PSNR in dB, a mean over images: what tables show is what is optimised.

    Reference: L. Chen, X. Chu, X. Zhang, J. Sun, "Simple baselines for image restoration", ECCV 2022 (the authors'
    code). A face with half the error of another weighs twice as much as under :class:`PixelLoss`.
    """

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        return 10 * torch.log10((sr - hr).square().flatten(1).mean(1) + _LEAST_ERROR).mean()


@LOSSES.register_module()
class SSIMLoss(LossTerm):
    """1 - SSIM, a mean over images; beside :class:`PSNRLoss` its ``weight`` says how many dB an SSIM of 1 is worth."""

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        return 1 - ssim(sr, hr, data_range=1.0).mean()


@LOSSES.register_module()
class CompletionLoss(LossTerm):
    """R1, Eq. 1: mean squared error of the inpainter's raw output over the whole tiny face."""

    def forward(self, lr_filled: Tensor, lr_gt: Tensor) -> Tensor:
        return F.mse_loss(lr_filled, lr_gt)


@LOSSES.register_module()
class LandmarkLoss(LossTerm):
    """Mean squared error of landmark coordinates in units of the image side (Fan and Zhou's Euclidean loss)."""

    def forward(self, predicted_landmarks: Tensor, landmarks: Tensor, hr: Tensor) -> Tensor:
        return F.mse_loss(predicted_landmarks / hr.shape[-1], landmarks / hr.shape[-1])
