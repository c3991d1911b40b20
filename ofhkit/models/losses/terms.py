"""What every loss term has, and those that are one formula: differences of faces, landmarks and label maps.

Reference: arXiv 1811.04645, Equations 1 and 2.

Differs from the paper, which does not say whether its norms are sums or means: every L2 is a mean over elements. Eq. 6
prints R1 where its text lists R2; R2 is taken.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.functional.image_quality import ssim
from ofhkit.registry import LOSSES


class LossTerm(nn.Module):
    """Base of the loss terms: ``forward`` returns the unweighted scalar; whoever sums multiplies by ``weight``.

    Args:
        weight: factor in the total loss; not negative.

    Raises:
        OfhkitError: the weight is negative.
    """

    def __init__(self, weight: float = 1.0):
        super().__init__()
        if weight < 0:
            raise OfhkitError(f"{type(self).__name__}: weight must not be negative, got {weight}")
        self.weight = float(weight)

    def needs(self) -> list[str]:
        """Names of the batch keys (or networks) that ``forward`` cannot do without."""
        return [p.name for p in self._takes() if p.default is p.empty]

    def _takes(self) -> list[inspect.Parameter]:
        return list(inspect.signature(self.forward).parameters.values())

    def evaluate(self, available: Mapping[str, Any]) -> Tensor:
        """Call ``forward`` with what it needs out of ``available``.

        Raises:
            OfhkitError: something it needs is not there; names it and the nearest available one.
        """
        for name in self.needs():
            if available.get(name) is None:
                raise OfhkitError(
                    f"loss {type(self).__name__} needs {name!r}, which this model or data set does not give; "
                    f"{did_you_mean(name, [k for k, v in available.items() if v is not None])}"
                )
        return self(**{p.name: available[p.name] for p in self._takes() if available.get(p.name) is not None})


_LEAST_ERROR = 1e-6  # mean squared; 60 dB, far above any face here, where the logarithm still has a slope


@LOSSES.register_module()
class PixelLoss(LossTerm):
    """R2, Eq. 2: mean squared error of the hallucinated face, in [0, 1] units."""

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        return F.mse_loss(sr, hr)


@LOSSES.register_module()
class L1Loss(LossTerm):
    """Mean absolute error of the hallucinated face, in [0, 1] units; SPARNet's loss."""

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        return F.l1_loss(sr, hr)


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


@LOSSES.register_module()
class CoarseLoss(LossTerm):
    """Mean squared error of FSRNet's coarse face (Chen et al., CVPR 2018, Eq. 6, first term), in [0, 1] units."""

    def forward(self, coarse: Tensor, hr: Tensor) -> Tensor:
        return F.mse_loss(coarse, hr)


@LOSSES.register_module()
class HeatmapLoss(LossTerm):
    """Mean squared error of landmark heat maps, (N, 68, H, W), against Gaussians of one pixel around the points."""

    def forward(self, heatmaps: Tensor, landmarks: Tensor, hr: Tensor) -> Tensor:
        height, width = heatmaps.shape[-2:]
        x, y = (landmarks.to(heatmaps)[..., None] * (width / hr.shape[-1])).unbind(-2)  # each (N, 68, 1)
        columns, rows = (torch.arange(n, device=heatmaps.device) for n in (width, height))
        across, down = torch.exp(-((columns - x) ** 2) / 2), torch.exp(-((rows - y) ** 2) / 2)
        return F.mse_loss(heatmaps, down[..., :, None] * across[..., None, :])


@LOSSES.register_module()
class ParsingLoss(LossTerm):
    """Cross-entropy over all pixels, in nats; rare labels count for more.

    Reference: none; the usual loss of segmentation.

    Args:
        balance: a pixel counts in proportion to (how many of the batch have its label) ** -balance. 0 counts all
            alike, and then an eye, 0.5 % of a face, may never be learnt; 1 counts every label alike.

    Shape:
        parsing_logits (N, classes, H, W), parsing (N, H, W) integer labels.
    """

    def __init__(self, weight: float = 1.0, balance: float = 0.5):
        super().__init__(weight)
        self.balance = balance

    def forward(self, parsing_logits: Tensor, parsing: Tensor) -> Tensor:
        labels = parsing.long()
        counts = torch.bincount(labels.flatten(), minlength=parsing_logits.shape[1])
        weights = counts.clamp(min=1).to(parsing_logits.dtype) ** -self.balance
        return F.cross_entropy(parsing_logits, labels, weights)
