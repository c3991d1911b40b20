"""A loss that is no number stops the run and says where."""

from __future__ import annotations

import torch
from mmengine.hooks import Hook
from torch import Tensor

from ofhkit.errors import OfhkitError
from ofhkit.registry import HOOKS


@HOOKS.register_module()
class StopOnNaN(Hook):
    """Look at the losses every ``interval`` iterations; at the first NaN or Inf stop with its iteration and images.

    Args:
        interval: in iterations; on a GPU each look waits for it once.
    """

    priority = "HIGH"

    def __init__(self, interval: int = 20):
        self.interval = interval
        self.seen: list[tuple[int, dict[str, Tensor], Tensor]] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.seen.append((batch_idx, outputs, data_batch["index"]))
        if len(self.seen) >= self.interval:
            self.look(runner.name)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Nothing broken is saved over something whole."""
        self.look(runner.name)

    def look(self, name: str) -> None:
        """Check the losses seen since the last look.

        Raises:
            OfhkitError: names the loss, the iteration and the images.
        """
        seen, self.seen = self.seen, []
        if seen and torch.isfinite(sum(value.float() for _, output, _ in seen for value in output.values())):
            return
        for iteration, output, index in seen:
            for term, value in output.items():
                if not torch.isfinite(value):
                    raise OfhkitError(
                        f"[{name}] {term} became {value.item()} at iteration {iteration} "
                        f"(images {index.tolist()[:8]} …): "
                        "lower the learning rate or clip gradients; the last checkpoint is kept"
                    )
