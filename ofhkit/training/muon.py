"""Muon for convolutions: the momentum of a kernel is orthogonalised, so that all its directions move alike.

Reference: K. Jordan, Y. Jin, V. Boza, J. You, F. Cesista, L. Newhouse, J. Bernstein, "Muon: an optimizer for hidden
layers in neural networks", 2024; the update's size is that of J. Liu et al., "Muon is scalable for LLM training",
arXiv 2502.16982, 2025, Equation 4. torch's own Muon takes matrices only.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from mmengine.registry import OPTIMIZERS
from torch import Tensor

__all__ = ["ConvMuon", "orthogonalise"]

_LEAST_CHANNELS = 8  # of a kernel, on both sides, for it to be a hidden layer's
_QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan et al.: steep at zero, so that five steps do


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Bring all singular values of a matrix (M, N) near 1 (0.7 to 1.2), by Newton-Schulz steps: products only.

    >>> torch.linalg.svdvals(orthogonalise(torch.diag(torch.tensor([4.0, 1.0, 0.1])))).gt(0.6).all().item()
    True
    """
    a, b, c = _QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.mT if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


@OPTIMIZERS.register_module()
class ConvMuon(torch.optim.Optimizer):
    """Muon for the kernels of hidden convolutions, Adam for everything else (first and last layer, biases, gates).

    A kernel (O, C, h, w) is a matrix (O, C*h*w). Its update has the root mean square of an Adam step of ``0.2 * lr``.

    Args:
        lr: of the kernels with at least 8 channels on both sides.
        adam_lr: of the rest, as a share of ``lr``.
        momentum: of the kernels, in Nesterov's form.
        betas, eps: of Adam.

    >>> layer = torch.nn.Conv2d(8, 8, 3)
    >>> [len(group["params"]) for group in ConvMuon(layer.parameters()).param_groups]
    [1, 1]
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-2,
        adam_lr: float = 0.1,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
    ):
        if not (lr >= 0 and adam_lr >= 0 and 0 <= momentum < 1):
            raise ValueError(f"need lr, adam_lr >= 0 and 0 <= momentum < 1, got {lr}, {adam_lr} and {momentum}")
        parameters = list(params)
        kernels = [p for p in parameters if _is_hidden(p)]
        others = [p for p in parameters if not _is_hidden(p)]
        groups = [dict(params=kernels, lr=lr, muon=True), dict(params=others, lr=lr * adam_lr, muon=False)]
        defaults = dict(lr=lr, momentum=momentum, betas=betas, eps=eps)
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            update = self._muon if group["muon"] else self._adam
            for p in group["params"]:
                if p.grad is not None:
                    p.add_(update(p.grad, self.state[p], group), alpha=-group["lr"])
        return loss

    @staticmethod
    def _muon(grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        momentum = state.setdefault("momentum", torch.zeros_like(grad))
        momentum.mul_(group["momentum"]).add_(grad)
        matrix = grad.add(momentum, alpha=group["momentum"]).flatten(1)
        return orthogonalise(matrix).view(grad.shape) * (0.2 * max(matrix.shape) ** 0.5)

    @staticmethod
    def _adam(grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        if not state:
            state |= dict(step=0, mean=torch.zeros_like(grad), square=torch.zeros_like(grad))
        state["step"] += 1
        for name, value, beta in zip(("mean", "square"), (grad, grad.square()), group["betas"]):
            state[name].lerp_(value, 1 - beta)
        mean, square = (state[n] / (1 - b ** state["step"]) for n, b in zip(("mean", "square"), group["betas"]))
        return mean / (square.sqrt() + group["eps"])


def _is_hidden(parameter: Tensor) -> bool:
    return parameter.ndim == 4 and min(parameter.shape[:2]) >= _LEAST_CHANNELS
