"""The mean face: what a method scores that never looks at its input.

Reference: none; a floor under every comparison on aligned faces.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ofhkit.models.fitted import FittedUpsampler
from ofhkit.registry import UPSAMPLERS


@UPSAMPLERS.register_module()
class MeanFace(FittedUpsampler):
    """Answer every face with the pixelwise mean of the training faces.

    Args:
        scale: how many times larger than the input.
        image_size: side of the low-resolution face.
        in_channels: colors.

    Shape:
        - input: (N, in_channels, image_size, image_size)
        - output: (N, in_channels, scale*image_size, scale*image_size) in [0, 1]

    Raises:
        OfhkitError: used before it was fitted.

    >>> mean = MeanFace()
    >>> mean.partial_fit(torch.rand(2, 3, 16, 16), torch.stack([torch.zeros(3, 128, 128), torch.ones(3, 128, 128)]))
    >>> mean.finalise()
    >>> mean(torch.rand(5, 3, 16, 16)).unique()
    tensor([0.5000])
    """

    def __init__(self, scale: int = 8, image_size: int = 16, in_channels: int = 3):
        super().__init__(scale, image_size, in_channels)
        side = scale * image_size
        self.register_buffer("mean_face", torch.zeros(in_channels, side, side))

    def _new_sums(self, lr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        return {"hr": torch.zeros(self.mean_face.shape, dtype=torch.float64, device=hr.device)}

    def _accumulate(self, sums: dict[str, Tensor], lr: Tensor, hr: Tensor) -> None:
        sums["hr"] += hr.sum(0, dtype=torch.float64)

    def _solve(self, sums: dict[str, Tensor], count: int) -> None:
        self.mean_face.copy_(sums["hr"] / count)

    def forward(self, lr: Tensor) -> Tensor:
        self._require_fit()
        return self.mean_face.to(lr.dtype).expand(lr.shape[0], -1, -1, -1).clone()
