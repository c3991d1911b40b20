"""The face prior at any size: photographs are completed from all their known pixels.

Reference: M. E. Tipping, C. M. Bishop, "Probabilistic principal component analysis", Journal of the Royal Statistical
Society B 61(3), 1999, with missing data.

Differs from the paper: what the components miss is no white noise. It has a spectrum, one variance for every frequency
of the cosine transform, so that neighbouring pixels err alike and a known pixel does not count as a new witness beside
another. The components hold low frequencies only, and the mirror image of a face counts as a face: then even and odd
horizontal frequencies are independent, and every component has half of the numbers. They are stored in 8 bits.
"""

import numpy as np
import torch
from torch import Tensor

from ofhkit.errors import OfhkitError
from ofhkit.functional.gaussian import conjugate_gradients
from ofhkit.functional.precision import constant, no_autocast
from ofhkit.models.fitted import Fitted
from ofhkit.registry import INPAINTERS

OPPONENT = ((1, 1, 1), (1, 0, -1), (1, -2, 1))  # lightness and two colors, almost independent of each other
_CHUNK = 128  # faces at a time while fitting
_TOGETHER = 8  # faces that are completed at a time, in the box that holds all their holes


@INPAINTERS.register_module()
class SpectralInpainter(Fitted):
    """Complete a face of any size from its known pixels: the mean of a Gaussian with low rank and a noise spectrum.

    The size of the faces is that of the faces ``lr`` it is fitted to: 128x128 ones for photographs. A fixed number of
    conjugate gradient steps stands for the exact solve; fewer also keep it from being surer than it should be.
    The system is ill-conditioned, so every step is held orthogonal to those before it: another order of adding (another
    batch, a graph, another processor) gives the same face to about 1e-6.

    Args:
        rank: components for even horizontal frequencies, and as many for odd ones.
        frequencies: lowest ones, in each direction, that components hold.
        floor: least variance of a frequency's noise, as a share of the mean one.
        steps: of conjugate gradients.

    Shape:
        - lr: (N, 3, H, W) in [0, 1]; what lies in the hole is not looked at
        - mask: (N, 1, H, W), above 0.5 = occluded
        - output: (N, 3, H, W) in [0, 1]; known pixels as they were

    Raises:
        OfhkitError: used before it was fitted; faces of another size than those it was fitted to.

    >>> prior = SpectralInpainter(rank=2)
    >>> prior.partial_fit(torch.rand(8, 3, 16, 16), torch.rand(8, 3, 128, 128))
    >>> prior.finalise()
    >>> prior(torch.rand(2, 3, 16, 16), torch.ones(2, 1, 16, 16)).shape
    torch.Size([2, 3, 16, 16])
    """

    mean: Tensor  # (3, L, L): cosine transform of the mean face, low frequencies
    noise: Tensor  # (3, H, W): variance of every frequency that no component explains
    std: Tensor  # (3, L, L): standard deviation of the low frequencies, the unit of the components
    basis: Tensor  # (2, rank, 3 L L / 2) int8: even and odd horizontal frequencies
    unit: Tensor  # (2, rank): what 1 of the basis stands for
    factor: Tensor  # (2, rank, 3 L L / 2): the components, their standard deviation included
    inner: Tensor  # (2, rank, rank): (I + F S^-1 F')^-1
    wide_noise: Tensor  # float64, as are the two above: precisions of 1e4 and 1e-3 stand side by side

    def __init__(self, rank: int = 150, frequencies: int = 48, floor: float = 0.01, steps: int = 14):
        super().__init__()
        if rank < 1 or frequencies < 2 or frequencies % 2 or not 0 < floor <= 1 or steps < 1:
            raise OfhkitError(
                "SpectralInpainter: rank and steps are at least 1, frequencies even and floor in (0, 1], got "
                f"rank={rank}, frequencies={frequencies}, floor={floor}, steps={steps}"
            )
        self.rank, self.frequencies, self.floor, self.steps = rank, frequencies, floor, steps
        for name in ("mean", "noise", "std", "unit"):
            self.register_buffer(name, torch.zeros(0))
        self.register_buffer("basis", torch.zeros(0, dtype=torch.int8))
        for name in ("factor", "inner", "wide_noise"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.float64), persistent=False)

    @property
    def image_size(self) -> int:
        """Side of the faces it was fitted to."""
        return self.noise.shape[-1]

    def _check_faces(self, lr: Tensor, hr: Tensor) -> None:
        seen = None if self._sums is None else self._sums["x"].shape
        if lr.ndim != 4 or lr.shape[1] != 3 or min(lr.shape[2:]) < 2 or (seen and lr.shape[1:] != seen):
            raise OfhkitError(f"SpectralInpainter: color faces of one size (N, 3, H, W), please; got {tuple(lr.shape)}")

    def _low(self, image: Tensor) -> int:
        """How many frequencies of an image of this size the components hold."""
        return min(self.frequencies, *image.shape[-2:]) // 2 * 2

    def _new_sums(self, lr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        image = torch.zeros(lr.shape[1:], dtype=torch.float64, device=lr.device)
        size = halves(image, self._low(image))[0].numel()
        sums = {name: image.new_zeros(size, size) for name in ("even", "odd")}
        return {"x": image, "xx": image.clone(), **sums}

    def _accumulate(self, sums: dict[str, Tensor], lr: Tensor, hr: Tensor) -> None:
        for part in lr.split(_CHUNK):
            coefficients = transform(opponent(part.float() - 0.5))
            sums["x"] += coefficients.double().sum(0)
            sums["xx"] += coefficients.double().square().sum(0)
            for name, half in zip(("even", "odd"), halves(coefficients, self._low(lr))):
                sums[name] += (half.mT @ half).double()

    def _solve(self, sums: dict[str, Tensor], count: int) -> None:
        mean = sums["x"] / count
        mean[..., 1::2] = 0  # a face and its mirror image
        variance = sums["xx"] / count - mean.square()
        low = self._low(mean)
        std = variance[..., :low, :low].clamp(min=1e-12).sqrt()
        bases, units, explained = [], [], torch.zeros_like(std)
        for parity, name in enumerate(("even", "odd")):
            center = halves(mean, low)[parity]
            values, axes = torch.linalg.eigh((sums[name] / count).addr(center, center, alpha=-1))
            values, axes = (t[..., -self.rank :] for t in (values, axes))
            scale = std[..., parity::2].flatten()
            components = (axes * values.clamp(min=0).sqrt()).mT / scale
            unit = components.abs().amax(1).clamp(min=1e-12) / 127
            bases.append((components / unit[:, None]).round())
            units.append(unit)
            stored = bases[-1] * unit[:, None] * scale
            explained[..., parity::2] = stored.square().sum(0).view(3, low, low // 2)
        variance[..., :low, :low] -= explained
        self._keep("mean", mean[..., :low, :low])
        self._keep("std", std)
        self._keep("noise", variance.clamp(min=self.floor * variance.clamp(min=1e-12).mean()))
        self._keep("basis", torch.stack(bases))
        self._keep("unit", torch.stack(units))

    def _prepare(self) -> None:
        shapes = [tuple(getattr(self, name).shape) for name in ("mean", "std", "noise", "unit", "basis")]
        low, rank = self.mean.shape[-1:], self.unit.shape[-1:]
        both = (3, *low, *low)
        fits = shapes[:2] == [both, both] and len(shapes[2]) == 3 and shapes[2][0] == 3 and min(shapes[2][1:]) >= low[0]
        if not (fits and shapes[3:] == [(2, *rank), (2, *rank, 3 * low[0] * low[0] // 2)] and low[0] % 2 == 0):
            raise OfhkitError(
                f"SpectralInpainter: mean, std, noise, unit and basis of sizes {shapes} do not belong together; fit it "
                "again or get another file"
            )
        if not (self.noise > 0).all():
            raise OfhkitError("SpectralInpainter: a frequency has no positive variance; fit it again")
        std = torch.stack((self.std[..., 0::2], self.std[..., 1::2]))
        wide = torch.float32 if self.noise.device.type == "mps" else torch.float64
        factor = self.basis.to(wide) * self.unit.to(wide)[..., None] * std.to(wide).flatten(1)[:, None]
        noise = torch.stack(halves(self.noise, self.mean.shape[-1])).to(wide)
        system = torch.eye(factor.shape[1], dtype=wide, device=factor.device) + factor / noise[:, None] @ factor.mT
        self.factor, self.inner = factor, torch.cholesky_inverse(torch.linalg.cholesky(system))
        self.wide_noise = self.noise.to(wide)

    def _add_low(self, coefficients: Tensor, even: Tensor, odd: Tensor) -> Tensor:
        """Add (N, 3 L L / 2) each to the low frequencies of (N, 3, H, W)."""
        low = self.mean.shape[-1]
        both = torch.stack([half.view(-1, 3, low, low // 2) for half in (even, odd)], -1).flatten(-2)
        return coefficients + torch.nn.functional.pad(
            both, (0, coefficients.shape[-1] - low, 0, coefficients.shape[-2] - low)
        )

    def _covariance(self, coefficients: Tensor) -> Tensor:
        parts = [half @ f.mT @ f for half, f in zip(halves(coefficients, self.mean.shape[-1]), self.factor)]
        return self._add_low(coefficients * self.wide_noise, *parts)

    def _precision(self, coefficients: Tensor) -> Tensor:
        scaled = coefficients / self.wide_noise
        parts = [
            -(half @ f.mT @ m @ f) for half, f, m in zip(halves(scaled, self.mean.shape[-1]), self.factor, self.inner)
        ]
        low = [part / noise for part, noise in zip(parts, halves(self.noise, self.mean.shape[-1]))]
        return self._add_low(scaled, *low)

    def forward(self, lr: Tensor, mask: Tensor) -> Tensor:
        self._require_fit(lr, self.noise.shape)
        hidden = mask > 0.5
        with no_autocast(lr.device):
            x = torch.where(hidden, 0.5, lr).to(self.wide_noise) - 0.5
            if torch.compiler.is_compiling():
                filled = self._complete(x, hidden, slice(None), slice(None))
            else:
                parts = [
                    self._complete(a, b, *_box(b.any(0)[0]))
                    for a, b in zip(x.split(_TOGETHER), hidden.split(_TOGETHER))
                ]
                filled = torch.cat(parts) if parts else x
        return torch.where(hidden, filled.to(lr.dtype).clamp(0, 1), lr)

    def _complete(self, x: Tensor, hidden: Tensor, rows: slice, columns: slice) -> Tensor:
        """Fill the hole, which lies in a box, by conjugate gradients on the precision of what is hidden.

        The covariance, as if nothing were known, is the preconditioner.
        """
        low = self.mean.shape[-1]
        pad = (0, x.shape[-1] - low, 0, x.shape[-2] - low)
        mean = transform(torch.nn.functional.pad(self.mean.to(x), pad), back=True)[None]
        known = (~hidden).to(x)
        free = 1 - known[..., rows, columns]
        difference = (opponent(x) - mean) * known
        right = -transform(self._precision(transform(difference)), rows, columns, back=True) * free
        box, size = (rows, columns), (x.shape[-2], x.shape[-1])

        def within(operator):
            return lambda v: transform(operator(transform(v, *box, size=size)), *box, back=True) * free

        found = conjugate_gradients(right, within(self._precision), within(self._covariance), self.steps, True)
        full = torch.zeros_like(difference)
        full[..., rows, columns] = found
        return opponent(difference + full + mean, back=True) + 0.5


def halves(coefficients: Tensor, low: int) -> tuple[Tensor, Tensor]:
    """Low frequencies of (..., 3, H, W): even and odd horizontal ones, each (..., 3 low low / 2)."""
    part = coefficients[..., :low, :low]
    return part[..., 0::2].flatten(-3), part[..., 1::2].flatten(-3)


def _box(hidden: Tensor) -> tuple[slice, slice]:
    """Rows and columns that a hole (H, W) spans."""
    sides = []
    for axis in (1, 0):
        places = hidden.any(axis).nonzero()
        sides.append(slice(int(places.min()), int(places.max()) + 1) if len(places) else slice(0, 1))
    return sides[0], sides[1]


def opponent(images: Tensor, back: bool = False) -> Tensor:
    """Rotate RGB (N, 3, H, W) into lightness and two colors, or back: an orthonormal map."""
    rows = np.array(OPPONENT, np.float64)
    matrix = constant(("opponent",), lambda: rows / np.linalg.norm(rows, axis=1)[:, None], images.dtype, images.device)
    return torch.einsum("ij,nihw->njhw" if back else "ij,njhw->nihw", matrix, images)


def transform(
    images: Tensor,
    rows: slice = slice(None),
    columns: slice = slice(None),
    back: bool = False,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """The orthonormal cosine transform (..., H, W), or its inverse.

    Args:
        rows, columns: the box that images are given in (the rest is 0), or that the inverse is wanted in.
        size: of the whole image, where images are given in a box.

    >>> x = torch.rand(4, 6); bool(torch.allclose(transform(transform(x), back=True), x, atol=1e-6))
    True
    """
    height, width = size or images.shape[-2:]
    down, across = (constant(("dct", n), lambda n=n: _dct(n), images.dtype, images.device) for n in (height, width))
    down, across = down[:, rows], across[:, columns]
    return down.mT @ images @ across if back else down @ images @ across.mT


def _dct(n: int) -> np.ndarray:
    k = np.arange(n)
    matrix = np.cos(np.pi * (k[None] + 0.5) * k[:, None] / n) * np.sqrt(2 / n)
    matrix[0] *= np.sqrt(0.5)
    return matrix
