"""What does not belong to a face: a small network on the face prior's leave-block-out scores.

Reference: none. How far a block B of numbers is from what all others say of it is r_B' P_BB^-1 r_B with r = P (x - m),
which has a chi-square distribution for faces of the prior. Single pixels are not enough: the inside of a smooth
occluder is well predicted by its occluded neighbours. Real faces are no Gaussian; the network learns from these scores
and from the face itself what looks like damage. What it finds is taken out, completed by the prior, and asked again.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.functional import gaussian
from ofhkit.models.inpainters.gaussian import GaussianInpainter

__all__ = ["BlockScores", "MaskFinder"]

SIDES = (2, 3, 5)  # of the blocks, in pixels
LEAST = 6  # pixels that damage has at the least
_CLIP, _FLOOR = 8.0, 0.05


class BlockScores(nn.Module):
    """The scores of a face's numbers and blocks under a fitted prior, after what is hidden was taken out.

    Shape:
        - x: (N, C, H, W) in [0, 1]; mask: (N, 1, H, W), above 0.5 = taken out
        - output: (N, C, H, W) the face completed; (N, C, H, W) the scores of single numbers, standard deviations;
          (N, len(SIDES), H, W) mean squared scores of the blocks over every pixel, about 1
    """

    def __init__(self, prior: GaussianInpainter):
        super().__init__()
        precision, mean = prior.precision, prior.mean
        self.register_buffer("mean", mean.flatten().to(precision), persistent=False)
        self.register_buffer("precision", precision, persistent=False)
        places = torch.arange(mean.numel(), device=mean.device).view(mean.shape)
        for side in SIDES:
            at = places.unfold(1, side, 1).unfold(2, side, 1).permute(1, 2, 0, 3, 4).flatten(2).flatten(0, 1)
            inner = torch.linalg.inv(precision[at[:, :, None], at[:, None, :]]).float()
            self.register_buffer(f"at{side}", at, persistent=False)
            self.register_buffer(f"inner{side}", inner, persistent=False)

    @torch.no_grad()
    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = (mask > 0.5).expand_as(x).flatten(1)
        filled = gaussian.complete(x.flatten(1), hidden, self.mean, self.precision)
        away = ((filled - self.mean) @ self.precision).float()
        single = away / self.precision.diagonal().float().sqrt()
        blocks = [self._blocks(away, side, x.shape) for side in SIDES]
        return filled.to(x.dtype).view_as(x), single.view_as(x), torch.cat(blocks, 1)

    def _blocks(self, away: Tensor, side: int, shape: torch.Size) -> Tensor:
        part = away[:, getattr(self, f"at{side}")]
        scores = torch.einsum("nbi,bij->nbj", part, getattr(self, f"inner{side}")).mul_(part).mean(-1)
        scores = scores.view(-1, 1, *(n - side + 1 for n in shape[2:]))
        total, count = (F.avg_pool2d(F.pad(t, (side - 1,) * 4), side, 1) for t in (scores, torch.ones_like(scores[:1])))
        return total / count


class Level(nn.Module):
    """A residual convolution, what half the resolution sees, and another residual convolution.

    Shape:
        (N, channels[0], H, W) -> the same; H and W are even where there are more channels
    """

    def __init__(self, channels: Sequence[int]):
        super().__init__()
        own, *coarser = channels
        self.before, self.after = (nn.Conv2d(own, own, 3, padding=1) for _ in range(2))
        if coarser:
            self.widen, self.narrow = nn.Conv2d(own, coarser[0], 3, padding=1), nn.Conv2d(coarser[0], own, 1)
        self.inner = Level(coarser) if coarser else None

    def forward(self, x: Tensor) -> Tensor:
        x = x + F.relu(self.before(x))
        if self.inner is not None:
            coarse = self.inner(F.relu(self.widen(F.avg_pool2d(x, 2))))
            x = x + F.interpolate(self.narrow(coarse), scale_factor=2)
        return x + F.relu(self.after(x))


class MaskFinder(nn.Module):
    """Find what hides a small face.

    Args:
        prior: the fitted inpainter by whose scores it looks; not saved with it.
        channels: at the face's resolution, at half of it, and so on.
        passes: how often it looks, each time without what it found before.

    Shape:
        - lr: (N, 3, H, W) in [0, 1], the size of the prior's faces
        - output: (N, 1, H, W) logits, of the last pass; in training (passes, N, 1, H, W)
    """

    threshold: Tensor

    def __init__(self, prior: GaussianInpainter, channels: Sequence[int] = (24, 32, 32), passes: int = 2):
        super().__init__()
        self.channels, self.passes = tuple(channels), passes
        self.scores = BlockScores(prior)
        self.stem = nn.Conv2d(10 + len(SIDES), channels[0], 3, padding=1)
        self.body = Level(channels)
        self.head = nn.Conv2d(channels[0], 1, 3, padding=1)
        self.register_buffer("threshold", torch.zeros(()))  # of a face's score, chosen on undamaged faces

    def forward(self, lr: Tensor) -> Tensor:
        found, logits = torch.zeros_like(lr[:, :1]), []
        for _ in range(self.passes):
            logits.append(self._look(lr, found))
            found = logits[-1].detach().sigmoid()
        return torch.stack(logits) if self.training else logits[-1]

    def _look(self, lr: Tensor, found: Tensor) -> Tensor:
        filled, single, blocks = self.scores(lr, found)
        features = (lr - 0.5, single.clamp(-_CLIP, _CLIP) / 2, (blocks + _FLOOR).log(), 4 * (lr - filled), found)
        return self.head(self.body(F.relu(self.stem(torch.cat(features, 1)))))

    @staticmethod
    def face_score(logits: Tensor) -> Tensor:
        """How sure it is that a face is damaged (N,): the logit of the pixel that is sixth."""
        return logits.flatten(1).topk(LEAST, 1).values[:, -1]

    @torch.no_grad()
    def find(self, lr: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> the mask (N, 1, H, W), 1 = occluded; nothing in a face that is not damaged."""
        logits = self(lr)
        damaged = self.face_score(logits) > self.threshold
        return ((logits > 0) & damaged[:, None, None, None]).to(lr.dtype)
