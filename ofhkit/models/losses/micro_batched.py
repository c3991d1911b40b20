"""A loss through a frozen network, differentiated a few images at a time: nothing of the network's graph is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ofhkit.errors import OfhkitError


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
