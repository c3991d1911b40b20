"""How a single network is trained before it takes its place in the pipeline: inpainter, landmark prior, parser."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from ofhkit.registry import DEGRADATIONS, HALLUCINATORS, INPAINTERS, LANDMARK_PRIORS, LOSSES, PARSERS


class Pretraining(BaseModel):
    """One network, one loss. Subclasses name the batch keys it reads and the one it produces.

    Args:
        network: the component, or its configuration.
        loss: one loss term, or its configuration.
    """

    inputs: ClassVar[tuple[str, ...]]
    output: ClassVar[str]

    def __init__(self, network: nn.Module, loss: Any, data_preprocessor: Any = None):
        super().__init__()
        if data_preprocessor is not None:
            self.data_preprocessor = DEGRADATIONS.build(data_preprocessor)
        self.network = network
        self.loss = LOSSES.build(loss)

    def init_weights(self) -> None:
        """Nothing to do: the network initialised itself when it was built."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.network(*inputs)

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        batch = self.data_preprocessor(data, training=True)
        with optim_wrapper.optim_context(self.network):
            batch[self.output] = self.network(*(batch[name] for name in self.inputs))
            value = self.loss.evaluate(batch)
        optim_wrapper.update_params(self.loss.weight * value)
        return {"total": value.detach()}

    @torch.no_grad()
    def test_step(self, data: dict) -> list[dict[str, Tensor]]:
        batch = self.data_preprocessor(data, training=False)
        batch[self.output] = self.network(*(batch[name] for name in self.inputs)).float()
        return [batch]

    val_step = test_step


@HALLUCINATORS.register_module()
class InpainterPretraining(Pretraining):
    """Curriculum step 1: the inpainter alone, in LR (Eq. 1)."""

    inputs = ("lr", "mask")
    output = "lr_filled"

    def __init__(self, inpainter: nn.Module | dict, loss: Any, data_preprocessor: Any = None):
        super().__init__(INPAINTERS.build(inpainter), loss, data_preprocessor)


@HALLUCINATORS.register_module()
class LandmarkPretraining(Pretraining):
    """Curriculum step 0: the landmark network on labelled faces."""

    inputs = ("hr",)
    output = "predicted_landmarks"

    def __init__(self, landmark_prior: nn.Module | dict, loss: Any, data_preprocessor: Any = None):
        super().__init__(LANDMARK_PRIORS.build(landmark_prior), loss, data_preprocessor)


@HALLUCINATORS.register_module()
class ParserPretraining(Pretraining):
    """The parser on labelled faces."""

    inputs = ("hr",)
    output = "parsing_logits"

    def __init__(self, parser: nn.Module | dict, loss: Any, data_preprocessor: Any = None):
        super().__init__(PARSERS.build(parser), loss, data_preprocessor)
