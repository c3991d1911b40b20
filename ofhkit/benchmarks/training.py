"""A training step of OFHNet's upsampler with its discriminator and landmark prior: naive against lean."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ofhkit.benchmarks.inference import WIDTHS
from ofhkit.benchmarks.plain import PlainUpsampler
from ofhkit.benchmarks.timing import Table, environment, measure
from ofhkit.models.discriminators.face_discriminator import FaceDiscriminator
from ofhkit.models.landmark_priors.fan_zhou import FanZhou
from ofhkit.models.losses.semantic_structure import SemanticStructureLoss
from ofhkit.models.upsamplers.residual import ResidualUpsampler

ALPHA, BETA = 1e-3, 0.1  # of the adversarial and the structure term


def run(
    device: torch.device, batches: tuple[int, ...], rounds: int, compiled: bool, precision: str = "float32"
) -> list[Table]:
    """Return one table for each set of widths."""
    tables = []
    for channels in WIDTHS:
        table = Table(f"Training step, upsampler {'/'.join(map(str, channels))}, {precision}")
        for batch in batches:
            variants = build(channels, batch, device, compiled, precision)
            times, table.ceilings = measure(variants, rounds, device)
            for name, seconds in times.items():
                row = {"batch": batch, "variant": name, "ms": 1e3 * seconds, "images/s": batch / seconds}
                table.rows.append({**row, "x naive": times["naive"] / seconds})
        table.environment = environment(device)
        tables.append(table)
    return tables


def build(
    channels: tuple[int, ...], batch: int, device: torch.device, compiled: bool, precision: str
) -> dict[str, Callable]:
    """Return the variants' steps; each has networks of its own."""
    generator = torch.Generator().manual_seed(0)
    lr = torch.rand(batch, 3, 16, 16, generator=generator).to(device)
    hr = torch.rand(batch, 3, 128, 128, generator=generator).to(device)
    amp = precision == "bfloat16"
    last = torch.channels_last
    variants = {
        "naive": Step(channels, lr, hr, plain=True).naive,
        "one forward": Step(channels, lr, hr, plain=True, fused=True).lean,
        "one forward, channels_last": Step(channels, lr, hr, plain=True, fused=True, layout=last, amp=amp).lean,
        "ofhkit.ops": Step(channels, lr, hr, fused=True, layout=last, amp=amp).lean,
    }
    if compiled:
        variants["ofhkit.ops, torch.compile"] = Step(
            channels, lr, hr, fused=True, layout=last, amp=amp, compiled=True
        ).lean
    return variants


class Step:
    """The networks, optimisers and data of one variant.

    ``naive`` runs the upsampler once for each network that learns, the prior on the true faces with a graph, and
    leaves the discriminator's gradients on; ``lean`` is the same optimisation from one forward pass.
    """

    def __init__(
        self, channels, lr, hr, plain=False, fused=False, layout=torch.contiguous_format, amp=False, compiled=False
    ):
        torch.manual_seed(0)
        network = ResidualUpsampler(channels).to(lr.device, memory_format=layout)
        self.upsampler: nn.Module = PlainUpsampler(network) if plain else network
        if compiled:
            self.upsampler = torch.compile(self.upsampler)
        self.discriminator = FaceDiscriminator().to(lr.device, memory_format=layout)
        self.prior = FanZhou().to(lr.device, memory_format=layout).eval().requires_grad_(False)
        self.lr, self.hr = lr.contiguous(memory_format=layout), hr.contiguous(memory_format=layout)
        options = dict(lr=1e-3, fused=True) if fused else dict(lr=1e-3, foreach=False)
        self.optimizers = [torch.optim.Adam(m.parameters(), **options) for m in (self.upsampler, self.discriminator)]
        self.structure = SemanticStructureLoss()
        with torch.no_grad():
            self.target = self.prior(hr) if fused else None
        self.amp = torch.autocast(lr.device.type, torch.bfloat16, enabled=amp)

    def naive(self) -> Tensor:
        """Two forward passes, nothing shared."""
        self._discriminate(self.upsampler(self.lr).detach())
        sr = self.upsampler(self.lr)
        total = self._total(sr, self.discriminator(sr), self.prior(self.hr))
        return self._update(0, total)

    def lean(self) -> Tensor:
        """One forward pass, the discriminator frozen while the upsampler learns."""
        with self.amp:
            sr = self.upsampler(self.lr)
            self._discriminate(sr.detach())
            self.discriminator.requires_grad_(False)
            total = self._total(sr, self.discriminator(sr), self.target)
        self._update(0, total)
        self.discriminator.requires_grad_(True)
        return total

    def _total(self, sr: Tensor, fake: Tensor, target: Tensor) -> Tensor:
        structure = (
            self.structure(sr, self.hr, self.prior, target)
            if self.target is not None
            else F.mse_loss(self.prior(sr) / 128, target / 128)
        )
        return F.mse_loss(sr.float(), self.hr) + ALPHA * F.softplus(-fake.float()).mean() + BETA * structure

    def _discriminate(self, sr: Tensor) -> None:
        real, fake = self.discriminator(self.hr), self.discriminator(sr)
        self._update(1, F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean())

    def _update(self, index: int, loss: Tensor) -> Tensor:
        self.optimizers[index].zero_grad(set_to_none=True)
        loss.backward()
        self.optimizers[index].step()
        return loss
