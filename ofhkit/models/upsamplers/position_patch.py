"""Position-patch hallucination: every patch is the best combination of the training patches at its position.

Reference: X. Ma, J. Zhang, C. Qi, "Hallucinating face by position-patch", Pattern Recognition 43(6), 2010, Section 2,
with the regularised weights under which later authors compare with it: for a query patch x and the training patches
y_i at its position, C_ij = (x - y_i)'(x - y_j) + tau delta_ij, tau = 1e-6 trace(C), w = C^-1 1 / (1'C^-1 1), and the
answer is sum_i w_i h_i; overlapping answers are averaged.

Differs from the paper: the three colors form one patch, and for x8 the low-resolution patch is 4x4 every 2 pixels.
The N x N system is not solved as such. With N faces, delta = x - mean(y), centred patches Yc, Hc and
G = Yc Yc' = Q L Q', the same weights give

    answer = mean(h) + Hc Yc' Q (L + tau)^-1 Q' delta,    trace(C) = N |delta|^2 + trace(G),

so that a few moments suffice, one pass collects them, and answering costs the same for any N. Moments are taken about
mid-grey in float64; what cancellation is left (1e-16 of the second moment) lies far below tau (1e-6 of it).
"""

from math import gcd

import torch
from torch import Tensor
from torch.nn import functional as F

from ofhkit.errors import OfhkitError
from ofhkit.functional.precision import no_autocast
from ofhkit.models.fitted import FittedUpsampler
from ofhkit.registry import UPSAMPLERS

_MIDDLE = 0.5
_CHUNK = 16  # faces at a time while fitting: 20 MB of float64 patches


def patch_grid(size: int, patch: int, step: int) -> int:
    """Return how many patches of side ``patch``, ``step`` apart, cover a side of ``size`` pixels.

    Raises:
        OfhkitError: they do not reach from edge to edge, or leave gaps.

    >>> patch_grid(16, patch=4, step=2)
    7
    """
    if not 0 < step <= patch <= size or (size - patch) % step:
        raise OfhkitError(
            f"patches of {patch} px every {step} px do not cover {size} px exactly; "
            "choose step <= patch and (size - patch) a multiple of step"
        )
    return (size - patch) // step + 1


def extract_patches(images: Tensor, patch: int, step: int) -> Tensor:
    """Cut every image into square patches, row by row.

    Shape:
        images (N, C, H, W). Output (N, P, C*patch*patch), channel-major as in the image.

    Raises:
        OfhkitError: the patches do not cover the image exactly.

    >>> extract_patches(torch.zeros(2, 3, 16, 16), patch=4, step=2).shape
    torch.Size([2, 49, 48])
    """
    for side in images.shape[-2:]:
        patch_grid(side, patch, step)
    return F.unfold(images, patch, stride=step).transpose(1, 2)


def average_patches(patches: Tensor, size: int, patch: int, step: int) -> Tensor:
    """Lay patches back on a square image; where they overlap, average them.

    Shape:
        patches (N, P, C*patch*patch). Output (N, C, size, size).

    Raises:
        OfhkitError: the patches do not cover the image exactly.

    >>> average_patches(torch.ones(1, 49, 3 * 32 * 32), size=128, patch=32, step=16).unique()
    tensor([1.])
    """
    grid = patch_grid(size, patch, step)
    total = _add_patches(patches, grid, patch, step)
    cover = _add_patches(patches.new_ones(1, grid**2, patches.shape[2]), grid, patch, step)
    return total / cover


def _add_patches(patches: Tensor, grid: int, patch: int, step: int) -> Tensor:
    """Sum of all patches in their places: the image is cut into cells so small that every patch is whole cells.

    A quarter of the time of :func:`torch.nn.functional.fold` for Ma's 49 patches of a face.
    """
    cell = gcd(patch, step)
    across, apart = patch // cell, step // cell
    count, _, numbers = patches.shape
    channels, cells = numbers // patch**2, apart * (grid - 1) + across
    total = patches.new_zeros(count, channels, cells, cell, cells, cell)
    parts = patches.reshape(count, grid, grid, channels, across, cell, across, cell)
    reach = apart * (grid - 1) + 1
    for i in range(across):
        for j in range(across):
            part = parts[:, :, :, :, i, :, j].permute(0, 3, 1, 4, 2, 5)
            total[:, :, i : i + reach : apart, :, j : j + reach : apart] += part
    return total.reshape(count, channels, cells * cell, cells * cell)


@UPSAMPLERS.register_module()
class PositionPatch(FittedUpsampler):
    """Ma et al.'s method, exact, at a cost per face that does not depend on the number of training faces.

    Takes 29 MB as float32 buffers for the default sizes, and 59 MB more in float64 while fitting.

    Args:
        patch: side of a low-resolution patch.
        step: distance between low-resolution patches.
        regularisation: tau as a fraction of trace(C).
        scale: how many times larger.
        image_size: side of the low-resolution face.
        in_channels: colors.

    Shape:
        - input: (N, in_channels, image_size, image_size) in [0, 1]
        - output: (N, in_channels, scale*image_size, scale*image_size), not clamped

    Raises:
        OfhkitError: used before it was fitted; patches that do not cover the face.

    >>> ma = PositionPatch()
    >>> ma.partial_fit(torch.rand(4, 3, 16, 16), torch.rand(4, 3, 128, 128))
    >>> ma.finalise()
    >>> ma(torch.rand(2, 3, 16, 16)).shape
    torch.Size([2, 3, 128, 128])
    """

    mean_lr: Tensor
    mean_hr: Tensor
    axes: Tensor
    spectrum: Tensor
    response: Tensor

    def __init__(
        self,
        patch: int = 4,
        step: int = 2,
        regularisation: float = 1e-6,
        scale: int = 8,
        image_size: int = 16,
        in_channels: int = 3,
    ):
        super().__init__(scale, image_size, in_channels)
        self.patch, self.step, self.regularisation = patch, step, regularisation
        positions = patch_grid(image_size, patch, step) ** 2
        d = in_channels * patch**2
        self.register_buffer("mean_lr", torch.zeros(positions, 1, d))
        self.register_buffer("mean_hr", torch.zeros(positions, 1, d * scale**2))
        self.register_buffer("axes", torch.zeros(positions, d, d))  # Q
        self.register_buffer("spectrum", torch.zeros(positions, 1, d))  # L
        self.register_buffer("response", torch.zeros(positions, d, d * scale**2))  # (Hc Yc' Q)'

    def _new_sums(self, lr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        shapes = {"lr": self.mean_lr, "hr": self.mean_hr, "lr_lr": self.axes, "lr_hr": self.response}
        return {name: torch.zeros(like.shape, dtype=torch.float64, device=lr.device) for name, like in shapes.items()}

    def _accumulate(self, sums: dict[str, Tensor], lr: Tensor, hr: Tensor) -> None:
        for small, large in zip(lr.split(_CHUNK), hr.split(_CHUNK)):
            y = self._cut(small.double() - _MIDDLE, 1)
            h = self._cut(large.double() - _MIDDLE, self.scale)
            sums["lr"] += y.sum(1, keepdim=True)
            sums["hr"] += h.sum(1, keepdim=True)
            sums["lr_lr"].baddbmm_(y.mT, y)
            sums["lr_hr"].baddbmm_(y.mT, h)

    def _solve(self, sums: dict[str, Tensor], count: int) -> None:
        mean_lr, mean_hr = sums["lr"] / count, sums["hr"] / count
        scatter = sums["lr_lr"] - count * mean_lr.mT @ mean_lr
        spectrum, axes = torch.linalg.eigh(scatter)
        response = axes.mT @ (sums["lr_hr"] - count * mean_lr.mT @ mean_hr)
        self.mean_lr.copy_(mean_lr + _MIDDLE)
        self.mean_hr.copy_(mean_hr + _MIDDLE)
        self.axes.copy_(axes)
        self.spectrum.copy_(spectrum.clamp(min=0)[:, None])
        self.response.copy_(response)

    def _cut(self, images: Tensor, scale: int) -> Tensor:
        """Patches by position, (P, N, numbers)."""
        return extract_patches(images, self.patch * scale, self.step * scale).transpose(0, 1)

    def forward(self, lr: Tensor) -> Tensor:
        self._require_fit()
        with no_autocast(lr.device):
            delta = self._cut(lr.to(self.mean_lr.dtype), 1) - self.mean_lr  # (P, N, d)
            trace = self.num_faces * delta.square().sum(2, keepdim=True) + self.spectrum.sum(2, keepdim=True)
            tau = self.regularisation * trace
            patches = self.mean_hr + (delta @ self.axes) / (self.spectrum + tau) @ self.response  # (P, N, D)
            side, patch, step = (self.scale * n for n in (self.image_size, self.patch, self.step))
            return average_patches(patches.transpose(0, 1), side, patch, step).to(lr.dtype)  # 128x128
