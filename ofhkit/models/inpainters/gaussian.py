"""The face prior's completion: hidden pixels as the mean of a Gaussian over faces, given the known ones.

Reference: none for faces this small; the conditional mean of a multivariate normal, as in any textbook (C. M. Bishop,
"Pattern Recognition and Machine Learning", Springer, 2006, Section 2.3.1). The algebra is in
:mod:`ofhkit.functional.gaussian`.
"""

import torch
from torch import Tensor

from ofhkit.errors import OfhkitError
from ofhkit.functional import gaussian
from ofhkit.functional.precision import no_autocast
from ofhkit.models.fitted import Fitted
from ofhkit.registry import INPAINTERS


@INPAINTERS.register_module()
class GaussianInpainter(Fitted):
    """Complete a tiny face exactly, for any mask, from the moments of the training faces; nothing is optimised.

    The size of the faces is that of the faces it is fitted to. Saved are the mean and half of the covariance, in
    float32: 1.2 MB for 16x16. Where a graph is traced (ONNX, torch.export) conjugate gradients stand for the solve.

    Args:
        regularisation: lambda, added to the variance of every number.
        mirror: count every face's mirror image too.
        graph_steps: of conjugate gradients where a graph is traced; the result is then within 1e-4 of the exact one.

    Shape:
        - lr: (N, C, H, W) in [0, 1]; what lies in the hole is not looked at
        - mask: (N, 1, H, W), above 0.5 = occluded
        - output: (N, C, H, W) in [0, 1]; known pixels as they were

    Raises:
        OfhkitError: used before it was fitted; faces of another size than those it was fitted to.

    >>> prior = GaussianInpainter()
    >>> prior.partial_fit(torch.rand(8, 3, 4, 4), torch.rand(8, 3, 32, 32))
    >>> prior.finalise()
    >>> prior(torch.rand(2, 3, 4, 4), torch.ones(2, 1, 4, 4)).shape
    torch.Size([2, 3, 4, 4])
    """

    mean: Tensor  # (C, H, W)
    covariance: Tensor  # (D (D + 1) / 2,) with D = C H W
    precision: Tensor
    preconditioner: Tensor

    def __init__(self, regularisation: float = 3e-5, mirror: bool = True, graph_steps: int = 96):
        super().__init__()
        if not regularisation > 0:
            raise OfhkitError(f"GaussianInpainter: regularisation must be positive, got {regularisation}")
        self.regularisation, self.mirror, self.graph_steps = regularisation, mirror, graph_steps
        self.register_buffer("mean", torch.zeros(0))
        self.register_buffer("covariance", torch.zeros(0))
        self.register_buffer("precision", torch.zeros(0, dtype=torch.float64), persistent=False)
        self.register_buffer("preconditioner", torch.zeros(0), persistent=False)

    def _check_faces(self, lr: Tensor, hr: Tensor) -> None:
        sums = self._sums
        if lr.ndim != 4 or (sums is not None and len(sums["x"]) != lr[0].numel()):
            raise OfhkitError(f"GaussianInpainter: faces of one size (N, C, H, W), please; got {tuple(lr.shape)}")

    def _new_sums(self, lr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        self._shape = tuple(lr.shape[1:])
        return gaussian.new_moments(lr)

    def _accumulate(self, sums: dict[str, Tensor], lr: Tensor, hr: Tensor) -> None:
        gaussian.add_moments(sums, lr)

    def _solve(self, sums: dict[str, Tensor], count: int) -> None:
        sums = {name: sums[name] for name in ("x", "xx")}
        moments = gaussian.centre_moments(sums, count, {"x": self._shape} if self.mirror else {})
        self._keep("mean", moments["mean_x"].view(self._shape))
        self._keep("covariance", gaussian.triangle(moments["cov_xx"]))

    @property
    def image_size(self) -> int:
        """Side of the faces it was fitted to."""
        return self.mean.shape[-1]

    def _prepare(self) -> None:
        size = self.mean.numel()
        if self.mean.ndim != 3 or self.covariance.shape != (size * (size + 1) // 2,):
            raise OfhkitError(
                f"GaussianInpainter: a mean {tuple(self.mean.shape)} and {self.covariance.numel()} numbers of a "
                "covariance do not belong together; fit it again or get another file"
            )
        covariance = gaussian.symmetric(self.covariance)
        wide = torch.float32 if covariance.device.type == "mps" else torch.float64
        self.precision = gaussian.precision(covariance.to(wide), self.regularisation)
        self.preconditioner = gaussian.preconditioner(self.precision)

    def posterior(self, lr: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the hidden numbers' standard deviations, and how unlikely the known ones are.

        Shape:
            lr, mask as for ``forward`` -> (N, C, H, W), 0 where known; (N,): squared distance from the mean in standard
            deviations, by number: about 1, more for faces that the prior finds unlikely
        """
        hidden, mean = self._read(lr, mask)
        filled = gaussian.complete(lr.flatten(1), hidden, mean, self.precision)
        distance = gaussian.squared_distance(filled, mean, self.precision)
        known = (~hidden).sum(1)
        unlikely = torch.where(known > 0, distance / known.clamp(min=1), 1)
        return gaussian.deviations(hidden, self.precision).view_as(lr), unlikely

    def draw(self, noise: Tensor, mask: Tensor) -> Tensor:
        """Deviations from the completion as likely as the faces have them, from standard normal noise.

        Shape:
            noise (S, N, C, H, W), mask (N, 1, H, W) -> (S, N, C, H, W), 0 where known
        """
        hidden, _ = self._read(noise[0], mask)
        return gaussian.draw(noise.flatten(2), hidden, self.precision).view_as(noise)

    def _read(self, lr: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Check that faces fit; which of their numbers are hidden (N, D), and the mean (D,)."""
        self._require_fit(lr, self.mean.shape)
        return (mask > 0.5).expand_as(lr).flatten(1), self.mean.flatten().to(self.precision)

    def forward(self, lr: Tensor, mask: Tensor) -> Tensor:
        hidden, mean = self._read(lr, mask)
        with no_autocast(lr.device):
            if torch.compiler.is_compiling():
                steps = (self.precision, self.preconditioner, self.graph_steps)
                filled = gaussian.complete_by_steps(lr.flatten(1), hidden, mean.float(), *steps)
            else:
                filled = gaussian.complete(lr.flatten(1), hidden, mean, self.precision)
        return filled.to(lr.dtype).view_as(lr).clamp(0, 1)
