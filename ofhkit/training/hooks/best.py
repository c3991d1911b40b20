"""The weights that scored best so far, kept beside the checkpoints."""

from __future__ import annotations

from pathlib import Path

from mmengine.hooks import Hook
from torch import nn

from ofhkit.registry import HOOKS
from ofhkit.runtime.distributed import is_main
from ofhkit.training.checkpoint import save_weights

BEST = "best.safetensors"


@HOOKS.register_module()
class KeepBest(Hook):
    """Write ``best.safetensors`` whenever :class:`Validate` finds a better score; its header says which and when.

    Args:
        network: whose weights.
        metric: name of the score that decides.
        higher_is_better: as that metric says of itself.
    """

    def __init__(self, network: nn.Module, metric: str, higher_is_better: bool):
        self.network, self.metric, self.higher_is_better = network, metric, higher_is_better
        self.score: float | None = None
        self.iteration = 0

    def look(self, runner, scores: dict[str, float], done: int) -> None:
        """Keep the network as it is now if it is the best so far."""
        value = scores[self.metric]
        if self.score is not None and (value <= self.score if self.higher_is_better else value >= self.score):
            return
        if is_main():
            header = {"step": runner.name, "metric": self.metric, "score": value, "iteration": done}
            try:
                save_weights(Path(runner.work_dir) / BEST, self.network.state_dict(), header)
            except OSError as error:
                runner.say(f"[{runner.name}] could not save {BEST} ({error}); what was best before is kept")
                return
        self.score, self.iteration = value, done

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint["best"] = {"score": self.score, "iteration": self.iteration}

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        saved = checkpoint.get("best")  # missing where nothing was validated before
        if saved is not None:
            self.score, self.iteration = saved["score"], saved["iteration"]

    def after_train(self, runner) -> None:
        if self.score is not None:
            runner.say(f"[{runner.name}] best {self.metric} {self.score:.4g} at iteration {self.iteration}")
