"""The face prior's enlargement: the mean large face given the small one, linear in it, in blocks of low rank.

Reference: none; the conditional mean of a joint Gaussian over small and large faces (C. M. Bishop, "Pattern Recognition
and Machine Learning", Springer, 2006, Section 2.3.1), which is ridge regression: y = m_y + (x - m_x) W, with
W = (C + lambda I)^-1 D, C = Cov(x), D = Cov(x, y). Blocks that see their neighbourhood are an idea of X. Ma, J. Zhang,
C. Qi, "Hallucinating face by position-patch", Pattern Recognition 43(6), 2010; here every block sees the whole face.

W has 37.7 million numbers for 16x16 -> 128x128. Kept is, for every block of the large face, the subspace in which most
of what W predicts there varies (the eigenvectors of W_b' D_b), and how the face determines the coefficients. Faces and
their mirror images have symmetric moments, so that the left half suffices: the right one is that of the mirrored face.
"""

import torch
from torch import Tensor

from ofhkit.errors import OfhkitError
from ofhkit.functional import gaussian
from ofhkit.functional.precision import no_autocast
from ofhkit.models.fitted import Fitted
from ofhkit.registry import UPSAMPLERS


@UPSAMPLERS.register_module()
class LinearUpsampler(Fitted):
    """Enlarge a complete face by the best linear map, found from moments in one pass; nothing is optimised.

    The size of the small faces is that of the faces it is fitted to.

    Args:
        block: side of a block, in pixels of the small face; the largest divisor of the face's sides up to it is taken.
        rank: coefficients a block; at least a block's numbers: the exact map.
        regularisation: lambda, added to the variance of every number.
        mirror: count every face's mirror image too.
        scale: how many times larger.

    Shape:
        - input: (N, C, H, W) in [0, 1]
        - output: (N, C, scale*H, scale*W), slightly beyond [0, 1] at times

    Raises:
        OfhkitError: used before it was fitted; faces of another size than those it was fitted to.

    >>> linear = LinearUpsampler(rank=4)
    >>> linear.partial_fit(torch.rand(8, 3, 4, 4), torch.rand(8, 3, 32, 32))
    >>> linear.finalise()
    >>> linear(torch.rand(2, 3, 4, 4)).shape
    torch.Size([2, 3, 32, 32])
    """

    mean_lr: Tensor  # (C, H, W)
    mean_hr: Tensor  # (C, scale H, scale W)
    gain: Tensor  # (C H W, blocks * rank)
    basis: Tensor  # (blocks, rank, C (scale block)^2)

    def __init__(
        self, block: int = 2, rank: int = 32, regularisation: float = 3e-5, mirror: bool = True, scale: int = 8
    ):
        super().__init__()
        if block < 1 or rank < 1 or not regularisation > 0:
            raise OfhkitError(
                "LinearUpsampler: block and rank are at least 1 and regularisation is positive, "
                f"got {block}, {rank} and {regularisation}"
            )
        self.block, self.rank, self.regularisation, self.mirror, self.scale = block, rank, regularisation, mirror, scale
        for name in ("mean_lr", "mean_hr", "gain", "basis"):
            self.register_buffer(name, torch.zeros(0))

    def _check_faces(self, lr: Tensor, hr: Tensor) -> None:
        expected = (*lr.shape[:2], *(self.scale * n for n in lr.shape[2:]))
        if lr.ndim != 4 or hr.shape != expected or (self._sums is not None and lr.shape[1:] != self._shape):
            raise OfhkitError(
                f"LinearUpsampler: faces of one size (N, C, H, W), please, and {self.scale} times as large ones; "
                f"got {tuple(lr.shape)} and {tuple(hr.shape)}"
            )

    def _new_sums(self, lr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        self._shape = lr.shape[1:]
        return gaussian.new_moments(lr, hr)

    def _accumulate(self, sums: dict[str, Tensor], lr: Tensor, hr: Tensor) -> None:
        gaussian.add_moments(sums, lr, hr)

    def _solve(self, sums: dict[str, Tensor], count: int) -> None:
        sums = {name: value for name, value in sums.items() if name != "count"}
        channels, height, width = self._shape
        large = (channels, self.scale * height, self.scale * width)
        shapes = {"x": tuple(self._shape), "y": large} if self.mirror else {}
        moments = gaussian.centre_moments(sums, count, shapes)
        together = self._cut(moments["cov_xy"].view(-1, *large))  # (blocks, D, numbers)
        linear = gaussian.precision(moments["cov_xx"], self.regularisation) @ together
        _, axes = torch.linalg.eigh(linear.mT @ together)
        axes = axes[..., -self.rank :]
        self._keep("mean_lr", moments["mean_x"].view(self._shape))
        self._keep("mean_hr", moments["mean_y"].view(large))
        self._keep("gain", (linear @ axes).transpose(0, 1).flatten(1))
        self._keep("basis", axes.mT)

    @property
    def image_size(self) -> int:
        """Side of the small faces it was fitted to."""
        return self.mean_lr.shape[-1]

    def _prepare(self) -> None:
        lr, hr, gain, basis = (tuple(getattr(self, n).shape) for n in ("mean_lr", "mean_hr", "gain", "basis"))
        if len(lr) == len(basis) == 3:
            (channels, height, width), (blocks, rank, _) = lr, basis
            side = self._side(height, width)
            numbers = channels * (self.scale * side) ** 2
            large = (channels, self.scale * height, self.scale * width)
            many = height // side * self._columns(width // side)
            if (hr, gain, basis) == (large, (channels * height * width, blocks * rank), (many, rank, numbers)):
                return
        raise OfhkitError(
            f"LinearUpsampler: means {lr} and {hr}, a gain {gain} and a basis {basis} do not belong together; fit it "
            "again or get another file"
        )

    def _side(self, height: int, width: int) -> int:
        return max(n for n in range(1, self.block + 1) if height % n == width % n == 0)

    def _cut(self, images: Tensor) -> Tensor:
        """Blocks of images (N, C, H, W), of their left half only where the other follows: (blocks, N, numbers)."""
        count, channels, height, width = images.shape
        side = self.scale * self._side(height // self.scale, width // self.scale)
        images = images[..., : side * self._columns(width // side)]
        parts = images.reshape(count, channels, height // side, side, -1, side)
        return parts.permute(2, 4, 0, 1, 3, 5).reshape(-1, count, channels * side**2)

    def _columns(self, across: int) -> int:
        return -(-across // 2) if self.mirror else across

    def _lay(self, blocks: Tensor) -> Tensor:
        """The reverse of :meth:`_cut`."""
        channels, height, width = self.mean_hr.shape
        side = self.scale * self._side(height // self.scale, width // self.scale)
        parts = blocks.reshape(height // side, -1, blocks.shape[1], channels, side, side)
        return parts.permute(2, 3, 0, 4, 1, 5).reshape(blocks.shape[1], channels, height, -1)

    def forward(self, completed: Tensor) -> Tensor:
        self._require_fit(completed, self.mean_lr.shape)
        with no_autocast(completed.device):
            delta = completed.to(self.mean_lr.dtype) - self.mean_lr
            if not self.mirror:
                return (self.mean_hr + self._predict(delta)).to(completed.dtype)
            halves = self._predict(torch.cat((delta, delta.flip(-1))))
            left, right = halves[: delta.shape[0]], halves[delta.shape[0] :]
            rest = self.mean_hr.shape[-1] - left.shape[-1]
            both = torch.cat((left, right[..., :rest].flip(-1)), -1)
            return (self.mean_hr + both).to(completed.dtype)

    def _predict(self, delta: Tensor) -> Tensor:
        coefficients = (delta.flatten(1) @ self.gain).unflatten(1, (self.basis.shape[0], -1))
        return self._lay(coefficients.transpose(0, 1) @ self.basis)
