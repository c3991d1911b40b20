"""Cross-entropy of a label map: how the parser is trained."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from ofhkit.models.losses.base import LossTerm
from ofhkit.registry import LOSSES


@LOSSES.register_module()
class ParsingLoss(LossTerm):
    """Cross-entropy over all pixels, in nats.

    Shape:
        parsing_logits (N, classes, H, W), parsing (N, H, W) integer labels.
    """

    def forward(self, parsing_logits: Tensor, parsing: Tensor) -> Tensor:
        return F.cross_entropy(parsing_logits, parsing.long())
