"""The weights that scored best so far, kept beside the checkpoints."""

from __future__ import annotations

from pathlib import Path

from mmengine.hooks import Hook
from torch import nn

from ofhkit.engine.checkpoint import save_weights
from ofhkit.engine.distributed import is_main
from ofhkit.registry import HOOKS

BEST = "best.safetensors"


@HOOKS.register_module()
class KeepBest(Hook):
    """Write ``best.safetensors`` whenever :class:`Validate` finds a better score; its header says which and when.

    Args:
        network: whose weights.
        metric: by which score.
        higher: whether more is better.
    """

    def __init__(self, network: nn.Module, metric: str, higher: bool = True):
        self.network, self.metric, self.higher = network, metric, higher
        self.score: float | None = None
        self.iteration = 0

    def look(self, runner, scores: dict[str, float], done: int) -> None:
        """Keep the network as it is now if it is the best so far."""
        value = scores[self.metric]
        if self.score is not None and (value <= self.score if self.higher else value >= self.score):
            return
        self.score, self.iteration = value, done
        if is_main():
            header = {"step": runner.name, "metric": self.metric, "score": value, "iteration": done}
            save_weights(Path(runner.work_dir) / BEST, self.network.state_dict(), header)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint["best"] = {"score": self.score, "iteration": self.iteration}

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        self.score, self.iteration = checkpoint["best"]["score"], checkpoint["best"]["iteration"]

    def after_train(self, runner) -> None:
        if self.score is not None:
            runner.say(f"[{runner.name}] best {self.metric} {self.score:.4g} at iteration {self.iteration}")
