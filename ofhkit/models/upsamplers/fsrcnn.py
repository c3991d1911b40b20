"""FSRCNN: feature extraction, shrinking, mapping, expanding at low resolution, then one strided deconvolution.

Reference: C. Dong, C. C. Loy, X. Tang, "Accelerating the super-resolution convolutional neural network", ECCV 2016,
Section 3 (d = 56, s = 12, m = 4).

Differs from the paper: RGB instead of luminance, trained on whole faces, stride 8 (the paper stops at 4). With the
9x9 kernel the usual padding of 4 would leave the last three rows and columns of a x8 face without any input, so the
padding shrinks with the stride to the largest that reaches every pixel. The paper trains the deconvolution
(``deconv``) at a tenth of the learning rate of the rest.
"""

from torch import Tensor, nn

from ofhkit.errors import OfhkitError
from ofhkit.registry import UPSAMPLERS


@UPSAMPLERS.register_module()
class FSRCNN(nn.Module):
    """Hallucinate a face with all work done on the small map.

    Args:
        in_channels: colors.
        channels: width of the feature and expanding layers (the paper's d).
        map_channels: width of the mapping layers (s).
        num_blocks: number of mapping layers (m).
        scale: stride of the deconvolution, 1 to 9.

    Shape:
        - input: (N, in_channels, H, W) in [0, 1]
        - output: (N, in_channels, scale*H, scale*W), not clamped

    Raises:
        OfhkitError: ``scale`` exceeds the kernel of 9.

    >>> import torch
    >>> FSRCNN()(torch.rand(1, 3, 16, 16)).shape
    torch.Size([1, 3, 128, 128])
    """

    def __init__(
        self, in_channels: int = 3, channels: int = 56, map_channels: int = 12, num_blocks: int = 4, scale: int = 8
    ):
        super().__init__()
        if not 1 <= scale <= 9:
            raise OfhkitError(f"FSRCNN: scale must be 1 to 9 (its deconvolution is 9x9), got {scale}")
        self.scale = scale
        layers = [nn.Conv2d(in_channels, channels, 5, padding=2), nn.PReLU(channels)]
        layers += [nn.Conv2d(channels, map_channels, 1), nn.PReLU(map_channels)]
        for _ in range(num_blocks):
            layers += [nn.Conv2d(map_channels, map_channels, 3, padding=1), nn.PReLU(map_channels)]
        layers += [nn.Conv2d(map_channels, channels, 1), nn.PReLU(channels)]
        self.body = nn.Sequential(*layers)  # 16x16
        padding = min(4, 9 - scale)
        self.deconv = nn.ConvTranspose2d(
            channels, in_channels, 9, stride=scale, padding=padding, output_padding=scale + 2 * padding - 9
        )
        self._initialise()

    def _initialise(self) -> None:
        for layer in self.body:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=0.25)  # He et al. 2015 for PReLU, whose slopes start at .25
                nn.init.zeros_(layer.bias)
        nn.init.normal_(self.deconv.weight, std=0.001)
        nn.init.zeros_(self.deconv.bias)

    def forward(self, lr: Tensor) -> Tensor:
        return self.deconv(self.body(lr))  # 128x128
