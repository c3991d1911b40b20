"""The semantic structure loss: the hallucinated face must have its landmarks where the true one has them.

Reference: arXiv 1811.04645, Equation 5: ||A(h') - A(h)||^2 over the last layer of the frozen landmark network A.

Differs from the paper, which prints neither units nor beta: a mean over coordinates, in units of the image side, so
that the weight does not depend on the size of the face.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.errors import OfhkitError
from ofhkit.models.losses.terms import LossTerm
from ofhkit.registry import LOSSES


def micro_batched_loss(loss: Callable[[Tensor, slice], Tensor], x: Tensor, micro_batch: int = 4) -> Tensor:
    """Return the sum of ``loss(x[part], part)`` over micro-batches of ``x``.

    With the value comes its gradient for ``x``, at once and part by part, so that the activations of a large frozen
    network need memory for a few images only. Nothing but ``x`` receives a gradient, and only a first one. Where ``x``
    needs none, or not on a CPU (where small batches would starve the device), ``loss`` is called once with everything.

    Args:
        loss: (N', ...) and the slice that it is of the batch -> a scalar, a *sum* over the images.
        x: (N, ...).
        micro_batch: how many images at a time.

    >>> micro_batched_loss(lambda x, part: (x ** 2).sum(), torch.tensor([1., 2., 3.], requires_grad=True), 2)
    tensor(14., grad_fn=<_MicroBatchedLossBackward>)
    """
    if x.device.type != "cpu" or not (torch.is_grad_enabled() and x.requires_grad) or torch.compiler.is_compiling():
        return loss(x, slice(0, len(x)))
    return _MicroBatchedLoss.apply(x, loss, micro_batch)


class _MicroBatchedLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, loss: Callable[[Tensor, slice], Tensor], micro_batch: int) -> Tensor:
        gradient = torch.zeros_like(x)
        total = x.new_zeros((), dtype=torch.promote_types(x.dtype, torch.float32))
        for start in range(0, len(x), micro_batch):
            part = slice(start, start + micro_batch)
            with torch.enable_grad():
                leaf = x[part].detach().requires_grad_()
                value = loss(leaf, part)
                (gradient[part],) = torch.autograd.grad(value, leaf)
            total += value.detach()
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        if torch.is_grad_enabled():
            raise OfhkitError("micro_batched_loss has no second derivative (create_graph=True): call the loss itself.")
        (gradient,) = ctx.saved_tensors
        return gradient * grad.to(gradient.dtype), None, None


@LOSSES.register_module()
class SemanticStructureLoss(LossTerm):
    """Mean squared difference of the landmarks of two faces, in units of the image side.

    The default weight is beta (not printed in the paper). No gradient flows through ``hr`` nor into the network.

    Shape:
        - ``sr``, ``hr``: (N, 3, H, W) RGB in [0, 1]
        - ``hr_landmarks``: (N, P, 2), what the network says of ``hr`` where that is known already
    """

    def __init__(self, weight: float = 0.1):
        super().__init__(weight)

    def forward(self, sr: Tensor, hr: Tensor, landmark_prior: nn.Module, hr_landmarks: Tensor | None = None) -> Tensor:
        side = hr.shape[-1]
        if hr_landmarks is None:
            with torch.no_grad():
                hr_landmarks = landmark_prior(hr)
        target = hr_landmarks / side

        def summed(sr: Tensor, part: slice) -> Tensor:
            return F.mse_loss(landmark_prior(sr) / side, target[part], reduction="sum")

        return micro_batched_loss(summed, sr) / target.numel()
