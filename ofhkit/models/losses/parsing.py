"""Cross-entropy of a label map: how the parser is trained."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ofhkit.models.losses.base import LossTerm
from ofhkit.registry import LOSSES


@LOSSES.register_module()
class ParsingLoss(LossTerm):
    """Cross-entropy over all pixels, in nats; rare labels count for more.

    Args:
        balance: a pixel counts in proportion to (how many of the batch have its label) ** -balance. 0 counts all
            alike, and then an eye, 0.5 % of a face, may never be learnt; 1 counts every label alike.

    Shape:
        parsing_logits (N, classes, H, W), parsing (N, H, W) integer labels.
    """

    def __init__(self, weight: float = 1.0, balance: float = 0.5):
        super().__init__(weight)
        self.balance = balance

    def forward(self, parsing_logits: Tensor, parsing: Tensor) -> Tensor:
        labels = parsing.long()
        counts = torch.bincount(labels.flatten(), minlength=parsing_logits.shape[1])
        weights = counts.clamp(min=1).to(parsing_logits.dtype) ** -self.balance
        return F.cross_entropy(parsing_logits, labels, weights)
