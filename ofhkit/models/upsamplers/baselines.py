"""The baselines without parameters: bicubic interpolation, and the mean face, which never looks at its input.

Reference: R. G. Keys, "Cubic convolution interpolation for digital image processing", IEEE Transactions on
Acoustics, Speech, and Signal Processing 29(6), 1981; compared with in arXiv 1811.04645, Table 1.

Differs from the paper: the coefficient is torch's, a = -0.75, where Keys has -0.5.
"""

import torch
from torch import Tensor, nn

from ofhkit.functional.resample import upsample_bicubic
from ofhkit.models.fitted import FittedUpsampler
from ofhkit.registry import UPSAMPLERS


@UPSAMPLERS.register_module()
class Bicubic(nn.Module):
    """Enlarge a face by bicubic interpolation.

    Args:
        scale: how many times larger.

    Shape:
        - input: (N, C, H, W) in [0, 1]
        - output: (N, C, scale*H, scale*W), slightly beyond [0, 1] at edges

    >>> import torch
    >>> Bicubic()(torch.rand(1, 3, 16, 16)).shape
    torch.Size([1, 3, 128, 128])
    """

    def __init__(self, scale: int = 8):
        super().__init__()
        self.scale = scale

    def forward(self, lr: Tensor) -> Tensor:
        return upsample_bicubic(lr, self.scale)


@UPSAMPLERS.register_module()
class MeanFace(FittedUpsampler):
    """Answer every face with the pixelwise mean of the training faces.

    Reference: none; a floor under every comparison on aligned faces.

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
