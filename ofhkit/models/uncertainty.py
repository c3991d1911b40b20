"""How sure a pipeline is: a standard deviation for every number, calibrated on faces that it did not learn from.

What the hole leaves open is known exactly where the completion is Gaussian (its posterior deviation); what the
enlargement misses is measured on validation faces. Errors are larger where the result has much contrast, and for faces
that the prior finds unlikely. The deviation is a product of powers of these, fitted to the logarithm of the errors
and scaled so that 1.645 deviations hold 90 % of the errors of the validation faces, in the hole and outside.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.errors import OfhkitError

__all__ = ["COVERED", "INTERVAL", "Uncertainty", "calibrated", "hidden", "noise"]

INTERVAL, COVERED = 1.645, 0.9  # deviations to either side, and the share of the errors that they hold
_FREEDOM, _SAME = 5, 2.015  # of Student's distribution, which errors have, and what holds as much of it
_WINDOW = 7  # pixels in which contrast is measured: about one pixel of the small face
_LEAST, _TINY = 1e-2, 1e-4  # of contrast and unlikeliness, of deviations: of which logarithms are taken


class Uncertainty(nn.Module):
    """The calibration of one pipeline; ``tools/prior.py calibrate`` fits it and writes it into the pipeline's file.

    Shape:
        - ``residual`` (1, 1, H, W): mean squared error of complete faces, enlarged
        - ``small`` (3,), ``large`` (2, 4): weights of the logarithms, of ``large`` outside and in the hole
    """

    residual: Tensor
    small: Tensor
    large: Tensor

    def __init__(self, size: int = 128) -> None:
        super().__init__()
        self.register_buffer("residual", torch.ones(1, 1, size, size))
        self.register_buffer("small", torch.zeros(3))
        self.register_buffer("large", torch.zeros(2, 4))

    def forward(self, inpainter: nn.Module, lr: Tensor, mask: Tensor, sr: Tensor) -> dict[str, Tensor]:
        """Return ``lr_std`` (N, 3, h, w), 0 where known, and ``sr_std`` (N, 1, H, W), one for all three channels."""
        posterior, unlikely = self.posterior(inpainter, lr, mask)
        low = (self.small_features(posterior, unlikely) @ self.small).exp() * mask
        return {"lr_std": low, "sr_std": self.enlarged(posterior, unlikely, mask, sr)}

    def enlarged(self, posterior: Tensor, unlikely: Tensor, mask: Tensor, sr: Tensor) -> Tensor:
        """``sr_std`` (N, 1, H, W) from what :meth:`posterior` returns."""
        weights = self.large[hidden(mask, sr)[:, 0].long()]
        return (self.large_features(posterior, unlikely, sr) * weights).sum(-1).exp()[:, None]

    def stretch(self, inpainter: nn.Module, lr: Tensor, mask: Tensor) -> Tensor:
        """By how much deviations drawn from the posterior are to be multiplied, (N, C, h, w)."""
        posterior, unlikely = self.posterior(inpainter, lr, mask)
        return (self.small_features(posterior, unlikely) @ self.small).exp() / posterior.clamp(min=_TINY) * mask

    @staticmethod
    def posterior(inpainter: nn.Module, lr: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Deviation (N, C, h, w) in the hole and how unlikely each face is (N,); 1 for inpainters that know neither."""
        if hasattr(inpainter, "posterior"):
            deviation, unlikely = inpainter.posterior(lr, mask)
            return deviation.float(), unlikely.float()
        return mask.expand_as(lr).float(), lr.new_ones(len(lr))

    @staticmethod
    def small_features(posterior: Tensor, unlikely: Tensor) -> Tensor:
        """(N, C, h, w, 3) logarithms."""
        other = unlikely.clamp(min=_LEAST)[:, None, None, None].expand_as(posterior)
        return torch.stack((torch.ones_like(posterior), posterior.clamp(min=_TINY).log(), other.log()), -1)

    def large_features(self, posterior: Tensor, unlikely: Tensor, sr: Tensor) -> Tensor:
        """(N, H, W, 4) logarithms."""
        variance = posterior.square().mean(1, keepdim=True)
        variance = F.interpolate(variance, scale_factor=sr.shape[-1] // variance.shape[-1], mode="bilinear")
        both = (variance + self.residual).clamp(min=_TINY**2).log()[:, 0] / 2
        other = unlikely.clamp(min=_LEAST).log()[:, None, None].expand_as(both)
        return torch.stack((torch.ones_like(both), both, (_contrast(sr)[:, 0] + _LEAST).log(), other), -1)


def noise(samples: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Noise from which answers are drawn: (samples, N, C, h, w) for shape (N, C, h, w).

    Small and large errors are more frequent than a normal distribution has them. This is Student's: normal noise over
    the root of a chi-square number, one for each answer. 1.645 hold 90 % of either.
    """
    normal = torch.randn(samples, *shape, generator=generator)
    wide = torch.randn(samples, shape[0], _FREEDOM, generator=generator).square().mean(-1).rsqrt()
    return normal * (INTERVAL / _SAME * wide)[:, :, None, None, None]


def hidden(mask: Tensor, sr: Tensor) -> Tensor:
    """(N, 1, H, W) bool: pixels of the large face that stem from occluded ones."""
    scale = sr.shape[-1] // mask.shape[-1]  # no check of sizes: an exported graph holds for any batch
    return (mask > 0.5).repeat_interleave(scale, 2).repeat_interleave(scale, 3)


def calibrated(model: nn.Module) -> Uncertainty:
    """The calibration of a pipeline.

    Raises:
        OfhkitError: it has none.
    """
    found = getattr(model, "uncertainty", None)
    if found is None:
        name = getattr(model, "info", {}).get("name", "this pipeline")
        raise OfhkitError(
            f"{name} was not calibrated, so that it cannot say how sure it is; run tools/prior.py calibrate on its file"
        )
    return found


def _contrast(image: Tensor) -> Tensor:
    """Standard deviation of the brightness in a window round every pixel, (N, C, H, W) -> (N, 1, H, W)."""
    grey = image.mean(1, keepdim=True)
    padded = F.pad(torch.cat((grey, grey.square()), 1), (_WINDOW // 2,) * 4, mode="replicate")
    mean, square = F.avg_pool2d(padded, _WINDOW, 1).split(1, 1)
    return (square - mean.square()).clamp(min=0).sqrt()
