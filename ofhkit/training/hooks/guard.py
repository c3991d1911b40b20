"""A loss that is no number stops the run and says where."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from mmengine.hooks import Hook
from torch import Tensor

from ofhkit.errors import OfhkitError
from ofhkit.files import atomic_write
from ofhkit.registry import HOOKS
from ofhkit.runtime.distributed import rank

BROKEN = "broken_batch.json"


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
            self.look(runner.name, runner.work_dir)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Nothing broken is saved over something whole."""
        self.look(runner.name, runner.work_dir)

    def look(self, name: str, folder: str) -> None:
        """Check the losses seen since the last look.

        Raises:
            OfhkitError: names the loss, the iteration and the images.
        """
        seen, self.seen = self.seen, []
        values = [value for _, output, _ in seen for value in output.values()]
        if values and torch.isfinite(torch.stack(values)).all():
            return
        for iteration, output, index in seen:
            for term, value in output.items():
                if not torch.isfinite(value):
                    self._save(folder, iteration, output, index)
                    raise OfhkitError(
                        f"[{name}] {term} became {value.item()} at iteration {iteration} "
                        f"(images {index.tolist()[:8]} …; all in {BROKEN}): "
                        "lower the learning rate or clip gradients; the last checkpoint is kept"
                    )

    @staticmethod
    def _save(folder: str, iteration: int, output: dict[str, Tensor], index: Tensor) -> None:
        """Keep what is needed to look into it: the iteration, its losses and the indices of its images."""
        losses = {term: str(value.item()) for term, value in output.items()}
        found = {"iteration": iteration, "losses": losses, "images": index.tolist(), "process": rank()}
        atomic_write(Path(folder) / BROKEN, json.dumps(found, indent=2))
