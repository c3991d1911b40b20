"""A small network on a completion: it adds to the prior's mean, inside the hole only, what a mean leaves out.

Reference: none for the whole. Units: residual blocks with a channel gate (Y. Zhang et al., "Image super-resolution
using very deep residual channel attention networks", ECCV 2018); the way down and up again with links across
(O. Ronneberger, P. Fischer, T. Brox, "U-Net", MICCAI 2015); sub-pixel rearrangement (W. Shi et al., CVPR 2016).

Differs from the papers: it is none of them as a whole; the trunk sees cells of 4x4 pixels and learns where in the face
they lie.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.errors import OfhkitError
from ofhkit.registry import INPAINTERS

CELL = 4  # pixels of an image's side that the trunk sees as one


class GatedBlock(nn.Module):
    """Two 3x3 convolutions, a gate for every channel, added to the input."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1, self.conv2 = (
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.gate = nn.Linear(channels, channels)
        nn.init.normal_(self.conv2.weight, std=1e-2)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.gate(x.mean((2, 3))))[:, :, None, None]
        return x + self.conv2(F.gelu(self.conv1(x))) * gate


@INPAINTERS.register_module()
class RefinedInpainter(nn.Module):
    """An inpainter and a network that improves what it filled in.

    Args:
        inpainter: configuration of the inpainter underneath, or the inpainter; None: the paper's IN.
        channels: of the trunk at a quarter, an eighth and a sixteenth of the image's side.
        num_blocks: residual blocks at each of them, on the way down and on the way up.
        detail: channels at full size.
        image_size: side of the images, for which the trunk learns positions.

    Shape:
        - lr: (N, 3, H, W) in [0, 1], H and W multiples of 16
        - mask: (N, 1, H, W), above 0.5 = occluded
        - output: (N, 3, H, W) in [0, 1]; known pixels as they were

    >>> RefinedInpainter()(torch.rand(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)).shape
    torch.Size([1, 3, 16, 16])
    """

    def __init__(
        self,
        inpainter: nn.Module | dict | None = None,
        channels: tuple[int, int, int] = (48, 64, 96),
        num_blocks: int = 2,
        detail: int = 12,
        image_size: int = 128,
    ):
        super().__init__()
        if image_size % (4 * CELL) or len(channels) != 3:
            raise OfhkitError(
                f"RefinedInpainter: image_size is a multiple of {4 * CELL} and channels are three, got {image_size} "
                f"and {channels}"
            )
        self.inpainter = INPAINTERS.build(inpainter or dict(type="EncoderDecoder"))
        fine, middle, coarse = channels

        def blocks(width: int) -> nn.Sequential:
            return nn.Sequential(*(GatedBlock(width) for _ in range(num_blocks)))

        self.enter = nn.Conv2d(4 * CELL**2, fine, 3, padding=1)
        self.position = nn.Parameter(torch.zeros(1, fine, image_size // CELL, image_size // CELL))
        self.down1, self.down2 = blocks(fine), blocks(middle)
        self.reduce1, self.reduce2 = nn.Conv2d(4 * fine, middle, 1), nn.Conv2d(4 * middle, coarse, 1)
        self.bottom = blocks(coarse)
        self.enlarge2, self.enlarge1 = nn.Conv2d(coarse, 4 * middle, 1), nn.Conv2d(middle, 4 * fine, 1)
        self.up2, self.up1 = blocks(middle), blocks(fine)
        self.leave = nn.Conv2d(fine, detail * CELL**2, 3, padding=1)
        self.last1, self.last2 = nn.Conv2d(detail + 4, detail, 3, padding=1), nn.Conv2d(detail, 3, 3, padding=1)
        nn.init.normal_(self.last2.weight, std=1e-2)
        nn.init.zeros_(self.last2.bias)

    def forward(self, lr: Tensor, mask: Tensor) -> Tensor:
        return self.refine(self.inpainter(lr, mask), lr, mask)

    def refine(self, completed: Tensor, lr: Tensor, mask: Tensor) -> Tensor:
        """Improve a completion (N, 3, H, W) of ``lr``: the hole's pixels only."""
        hidden = mask > 0.5
        seen = torch.cat((2 * torch.where(hidden, completed, lr) - 1, hidden.to(lr.dtype)), 1)
        position = self.position
        if position.shape[-1] * CELL != lr.shape[-1] or position.shape[-2] * CELL != lr.shape[-2]:
            position = F.interpolate(position, (lr.shape[-2] // CELL, lr.shape[-1] // CELL), mode="bilinear")
        fine = self.down1(F.gelu(self.enter(F.pixel_unshuffle(seen, CELL)) + position))  # 128 -> 32
        middle = self.down2(self.reduce1(F.pixel_unshuffle(fine, 2)))  # 16
        coarse = self.bottom(self.reduce2(F.pixel_unshuffle(middle, 2)))  # 8
        middle = self.up2(middle + F.pixel_shuffle(self.enlarge2(coarse), 2))  # 16
        fine = self.up1(fine + F.pixel_shuffle(self.enlarge1(middle), 2))  # 32
        detail = F.gelu(F.pixel_shuffle(self.leave(fine), CELL))  # 128
        change = self.last2(F.gelu(self.last1(torch.cat((detail, seen), 1))))
        return torch.where(hidden, (completed + change).clamp(0, 1), lr)
