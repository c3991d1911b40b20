"""OFHNet's upsampler and its training step, as written in the paper: what fast forms and stages are compared with."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofhkit.models.upsamplers.residual import ResidualUpsampler
from ofhkit.ops import MatmulConv2d


class PlainUpsampler(nn.Module):
    """Nearest x2, BatchNorm and ReLU on the large map, and convolutions of the large map, as written in the paper.

    Shape:
        (N, 3, H, W) -> (N, 3, scale*H, scale*W), the function of the network it is made of.
    """

    def __init__(self, network: ResidualUpsampler):
        super().__init__()
        self.network = network
        self.scale = network.scale

    def forward(self, lr: Tensor) -> Tensor:
        x = lr
        for block in self.network.blocks:
            skip = block.skip(x)
            y = F.relu(_norm(block.bn1, _conv(block.conv1, x)))
            y = F.relu(_norm(block.bn2, _conv(block.conv2, y)))
            y = F.interpolate(_conv(block.conv3, y) + skip, scale_factor=2.0, mode="nearest")
            x = F.relu(_norm(block.bn3, y))
        x = F.relu(_conv(self.network.head1, x))
        x = F.relu(_conv(self.network.head2, x))
        return torch.sigmoid(_conv(self.network.head3, x))


def plain_step(
    upsampler: nn.Module,
    discriminator: nn.Module,
    structure: Callable[[Tensor], Tensor],
    optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
    lr: Tensor,
    hr: Tensor,
    weights: tuple[float, float],
    amp: contextlib.AbstractContextManager | None = None,
) -> dict[str, Tensor]:
    """One fake forward; D learns from (hr, sr.detach()), then the upsampler from R2 + alpha adv + beta S.

    Args:
        structure: S of a face; ``weights``: alpha and beta; ``optimizers``: of the upsampler and of D.
        amp: an autocast for the forward passes.

    Returns:
        The unweighted terms, and ``total`` of the upsampler.
    """
    amp = contextlib.nullcontext() if amp is None else amp
    with amp:
        sr = upsampler(lr)
        real, fake = discriminator(hr), discriminator(sr.detach())
    terms = {"d_real": F.softplus(-real.float()).mean(), "d_fake": F.softplus(fake.float()).mean()}
    update(optimizers[1], terms["d_real"] + terms["d_fake"])
    discriminator.requires_grad_(False)
    with amp:
        terms["adversarial"] = F.softplus(-discriminator(sr).float()).mean()
        terms["structure"] = structure(sr)
        terms["pixel"] = F.mse_loss(sr.float(), hr)
        terms["total"] = terms["pixel"] + weights[0] * terms["adversarial"] + weights[1] * terms["structure"]
    update(optimizers[0], terms["total"])
    discriminator.requires_grad_(True)
    return terms


def update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take one step down the gradient of ``loss``."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def without_products(network: nn.Module) -> None:
    """Let every :class:`ofhkit.ops.MatmulConv2d` inside ``network`` convolve, with the same weights."""
    for module in network.modules():
        if isinstance(module, MatmulConv2d):
            module.__class__ = nn.Conv2d


def multiplications(network: ResidualUpsampler, side: int = 16) -> dict[str, float]:
    """Return the GMACs of one image: convolving the upsampled maps, by phases, and by nine products."""
    totals = {"direct": 0.0, "phases": 0.0, "nine": 0.0}
    for index, block in enumerate(network.blocks):
        here = (side << index) ** 2
        for name, conv in (("first", block.conv1), ("", block.conv2), ("", block.conv3)):
            products = conv.weight.numel() * here
            fewer = name == "first" and index > 0
            totals["direct"] += products
            totals["phases"] += products * (4 / 9 if fewer else 1)
            totals["nine"] += products * (1 / 4 if fewer else 1)
        if isinstance(block.skip, nn.Conv2d):
            products = block.skip.weight.numel() * here
            for name in totals:
                totals[name] += products / (4 if index and name != "direct" else 1)
    full = (side << len(network.blocks)) ** 2
    for name, factor in (("direct", 1), ("phases", 4 / 9), ("nine", 1 / 4)):
        totals[name] += network.head1.weight.numel() * full * factor
        totals[name] += (network.head2.weight.numel() + network.head3.weight.numel()) * full
    return {name: total / 1e9 for name, total in totals.items()}


def _conv(conv: nn.Conv2d, x: Tensor) -> Tensor:
    return F.conv2d(x, conv.weight, conv.bias, padding=conv.padding)


def _norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    return nn.BatchNorm2d.forward(norm, x)
