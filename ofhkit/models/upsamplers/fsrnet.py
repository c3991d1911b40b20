"""FSRNet, FCSR-GAN's enlarger: a coarse face, landmark heat maps and parsing maps read from it, a fine face from all.

Reference: Y. Chen, Y. Tai, X. Liu, C. Shen, J. Yang, "FSRNet: end-to-end learning face super-resolution with facial
priors", CVPR 2018, Section 3, in the form of J. Cai, H. Han, S. Shan, X. Chen, "FCSR-GAN: joint face completion and
super-resolution via multi-task learning", IEEE TBIOM 2(2), 2020 (arXiv 1911.01045), and of its authors' code.

Differs from the paper: 68 heat maps and the package's 16 labels instead of 81 and 11; no discriminator and no VGG loss,
whose weights do not ship; takes and returns [0, 1] and works on [-1, 1] inside; the bicubic enlargement it starts from
is torch's. Convolutions before a batch normalisation carry no bias (it would cancel).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.errors import OfhkitError
from ofhkit.functional.face_labels import PARSING_LABELS
from ofhkit.functional.resample import upsample_bicubic
from ofhkit.registry import UPSAMPLERS

LANDMARKS = 68


class _Residual(nn.Module):
    """``x + conv(relu(conv(x)))``."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(x)))


def _residuals(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(_Residual(channels) for _ in range(count)))


def _conv(in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU())


class _Bottleneck(nn.Module):
    """Pre-activated residual block, 1x1, 3x3 and 1x1, half as wide inside."""

    def __init__(self, channels: int):
        super().__init__()
        half = channels // 2
        widths = ((channels, half, 1), (half, half, 3), (half, channels, 1))
        self.layers = nn.Sequential(
            *(nn.Sequential(nn.BatchNorm2d(i), nn.ReLU(), nn.Conv2d(i, o, k, padding=k // 2)) for i, o, k in widths)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class _Hourglass(nn.Module):
    """Pool, work, enlarge again, beside blocks at full size; ``depth`` times within itself."""

    def __init__(self, channels: int, depth: int, num_blocks: int):
        super().__init__()

        def blocks() -> nn.Sequential:
            return nn.Sequential(*(_Bottleneck(channels) for _ in range(num_blocks)))

        self.beside, self.before, self.after = blocks(), blocks(), blocks()
        self.inner = _Hourglass(channels, depth - 1, num_blocks) if depth > 1 else blocks()

    def forward(self, x: Tensor) -> Tensor:
        y = self.after(self.inner(self.before(F.max_pool2d(x, 2))))
        return self.beside(x) + F.interpolate(y, scale_factor=2.0)


class PriorEstimation(nn.Module):
    """Landmark heat maps in (0, 1) and label logits of a face, at half its size."""

    def __init__(self, channels: int, stacks: int, num_blocks: int):
        super().__init__()
        self.features = nn.Sequential(
            _conv(3, channels // 4, 7, 2),
            _conv(channels // 4, channels),
            _residuals(channels, 3),
            *(_Hourglass(channels, 4, num_blocks) for _ in range(stacks)),
            nn.Conv2d(channels, channels // 2, 1),
        )
        self.landmarks = nn.Conv2d(channels // 2, LANDMARKS, 1)
        self.parsing = nn.Conv2d(channels // 2, len(PARSING_LABELS), 1)

    def forward(self, face: Tensor) -> tuple[Tensor, Tensor]:
        x = self.features(face)
        return torch.sigmoid(self.landmarks(x)), self.parsing(x)


@UPSAMPLERS.register_module()
class FSRNet(nn.Module):
    """Hallucinate a face eight times larger, by way of what and where its parts are.

    While it trains, :attr:`side` holds what the losses of the way read: ``coarse`` (N, 3, 8*H, 8*W), ``heatmaps``
    (N, 68, 4*H, 4*W) in (0, 1) and ``parsing_logits`` (N, 16, 8*H, 8*W).

    Args:
        channels: width of the coarse and the fine network.
        prior_channels: width of the network between them.
        stacks, num_blocks: hourglasses there, and blocks of each of their parts.

    Shape:
        - input: (N, 3, H, W) RGB in [0, 1], H and W multiples of 4
        - output: (N, 3, 8*H, 8*W), not clamped

    Raises:
        OfhkitError: faces of another size.

    >>> FSRNet(4, 8, 1, 1)(torch.rand(1, 3, 16, 16)).shape
    torch.Size([1, 3, 128, 128])
    """

    scale = 8

    def __init__(self, channels: int = 64, prior_channels: int = 256, stacks: int = 2, num_blocks: int = 4):
        super().__init__()
        last = nn.Conv2d(channels, 3, 3, padding=1)
        self.coarse = nn.Sequential(_conv(3, channels), _residuals(channels, 3), last)
        self.prior = PriorEstimation(prior_channels, stacks, num_blocks)
        self.encoder = nn.Sequential(
            _conv(3, channels, stride=2), _residuals(channels, 12), nn.Conv2d(channels, channels, 3, padding=1)
        )
        self.decoder = nn.Sequential(
            _conv(channels + LANDMARKS + len(PARSING_LABELS), channels),
            nn.Upsample(scale_factor=2),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            _residuals(channels, 3),
            nn.Conv2d(channels, 3, 3, padding=1),
        )
        self.side: dict[str, Tensor] = {}

    def forward(self, completed: Tensor) -> Tensor:
        if any(side % 4 for side in completed.shape[-2:]):
            raise OfhkitError(f"FSRNet takes faces whose sides are multiples of 4, got {tuple(completed.shape[-2:])}")
        coarse = self.coarse(2 * upsample_bicubic(completed, self.scale) - 1)  # 128x128
        heatmaps, parsing = self.prior(coarse)  # 64x64
        fine = self.decoder(torch.cat((self.encoder(coarse), heatmaps, parsing), 1))  # 128x128
        if self.training:
            logits = F.interpolate(parsing, scale_factor=2.0)
            self.side = {"coarse": (coarse + 1) / 2, "heatmaps": heatmaps, "parsing_logits": logits}
        return (fine + 1) / 2

    def __getstate__(self) -> dict:
        return {**self.__dict__, "side": {}}  # of the last batch: a copy has none
