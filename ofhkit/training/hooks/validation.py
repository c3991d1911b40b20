"""Scores on a fixed subset while training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from mmengine.hooks import Hook

from ofhkit.evaluation.evaluate import evaluate
from ofhkit.registry import HOOKS
from ofhkit.training.hooks.averaging import AverageWeights
from ofhkit.training.hooks.best import KeepBest


@HOOKS.register_module()
class Validate(Hook):
    """Every ``interval`` iterations, and at the end, score the first images of the validation split.

    Args:
        dataset: the subset.
        metrics: configurations of role metric.
        interval: in iterations.
        batch_size: of the evaluation.
        average: whose weights are scored instead of the network's own.
        best: told the scores while the network holds the weights that were scored.
    """

    priority = "LOW"

    def __init__(
        self,
        dataset: Any,
        metrics: Sequence[dict],
        interval: int,
        batch_size: int = 64,
        average: AverageWeights | None = None,
        best: KeepBest | None = None,
    ):
        self.dataset, self.metrics, self.interval, self.batch_size = dataset, metrics, interval, batch_size
        self.best = best
        self.weights = average.swapped_in if average else nullcontext

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        done = batch_idx + 1
        if done % self.interval and done != runner.max_iters:
            return
        with self.weights():
            scores = evaluate(runner.model, self.dataset, self.metrics, self.batch_size).means
            if self.best is not None:
                self.best.look(runner, scores, done)
        runner.model.train()
        shown = "  ".join(f"{name} {value:.4g}" for name, value in scores.items())
        runner.say(f"[{runner.name}] {done:>{len(str(runner.max_iters))}}/{runner.max_iters}  val: {shown}")
        runner.visualizer.add_scalars({f"val/{name}": value for name, value in scores.items()}, step=done)
