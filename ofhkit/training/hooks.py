"""Hooks that keep a training whole: checkpoints, NaN, averaged and best weights, frozen normalisation."""

import copy
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ofhkit.data.sampler import fetch
from ofhkit.errors import OfhkitError
from ofhkit.evaluation.evaluate import evaluate
from ofhkit.functional.images import face_grid, write_png
from ofhkit.registry import HOOKS, METRICS
from ofhkit.runtime.distributed import is_main, rank
from ofhkit.runtime.files import atomic_write
from ofhkit.runtime.progress import FOR_PEOPLE, log
from ofhkit.training.monitor import count, place
from ofhkit.zoo.weights import save_weights

BEST = "best.safetensors"
BROKEN = "broken_batch.json"
_SAMPLES = 6  # faces of a sample grid
_COLUMNS = ("lr", "lr_filled", "completed", "sr", "lr_gt", "hr")


@HOOKS.register_module()
class SaveCheckpoint(Hook):
    """Save every ``interval`` iterations or every ``seconds``, whichever comes first, and at the end.

    Args:
        interval: in iterations.
        seconds: of wall-clock time since the last save.
    """

    priority = "LOWEST"

    def __init__(self, interval: int = 2000, seconds: float = 60.0):
        self.interval, self.seconds = interval, seconds

    def before_train(self, runner) -> None:
        self.last = time.monotonic()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if not is_main():  # of several processes with the same state one saves it
            return
        done = batch_idx + 1
        if done % self.interval and done != runner.max_iters and time.monotonic() - self.last < self.seconds:
            return
        try:
            runner.save_checkpoint()
        except OSError as error:
            if done == runner.max_iters:
                raise
            log.info("[%s] could not save a checkpoint (%s); training goes on from the one before", runner.name, error)
        self.last = time.monotonic()


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


@HOOKS.register_module()
class FreezeBN(Hook):
    """From iteration ``begin`` on, normalise with running instead of batch statistics; weights go on learning.

    With few images a batch, batch statistics are noise on every color that the network must reproduce.

    Args:
        network: whose BatchNorm layers.
        begin: iteration.
    """

    priority = "HIGH"

    def __init__(self, network: nn.Module, begin: int):
        self.layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
        self.begin = begin

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if batch_idx >= self.begin:
            for layer in self.layers:
                layer.eval()


@HOOKS.register_module()
class AverageWeights(Hook):
    r"""Follow a network with an exponential moving average; validate and deliver the average.

    At update t the average keeps :math:`\min(d, (1 + t) / (10 + t))` of itself: the first weights are soon forgotten.
    BatchNorm's running statistics are averaged like weights.

    Args:
        network: whose weights.
        decay: d, between 0 and 1.

    Reference: B. Polyak and A. Juditsky, Acceleration of stochastic approximation by averaging, 1992.
    """

    priority = "NORMAL"  # before validation, and after whoever looks at the validated network

    def __init__(self, network: nn.Module, decay: float = 0.999):
        self.network, self.decay = network, decay
        self.average = AveragedModel(network, multi_avg_fn=self._update, use_buffers=True)
        self.average.n_averaged += 1  # the initial weights count

    @torch.no_grad()
    def _update(self, averaged: list[Tensor], now: list[Tensor], count: Tensor | int) -> None:
        if averaged[0].is_floating_point():
            t = int(self.average.n_averaged) - 1
            get_ema_multi_avg_fn(min(self.decay, (1 + t) / (10 + t)))(averaged, now, count)
        else:  # BatchNorm's counters
            torch._foreach_copy_(averaged, now)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.average.update_parameters(self.network)

    def before_val_epoch(self, runner) -> None:
        self.own = copy.deepcopy(self.network.state_dict())
        self.after_train(runner)

    def after_val_epoch(self, runner, metrics=None) -> None:
        self.network.load_state_dict(self.own)

    def after_train(self, runner) -> None:
        self.network.load_state_dict(self.average.module.state_dict())

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint["average"] = self.average.state_dict()

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        self.average.load_state_dict(checkpoint["average"])


@HOOKS.register_module()
class Validate(Hook):
    """Every ``interval`` iterations, and at the end (not just before): score some faces, keep the best weights, draw.

    The first metric with a direction decides which weights are best; they go to ``best.safetensors``, whose header
    says when they were found. ``samples/iter_N.png`` shows lr | completed | sr | hr, one row a face. Other hooks see
    it as MMEngine's validation: between ``before_val_epoch`` and ``after_val_epoch`` (which is given the scores) the
    network holds the weights that are scored.

    Args:
        dataset: the validation faces that are scored.
        degrade: of role degradation.
        metrics: of role metric, or their configurations.
        interval: in iterations.
        network: whose best weights are kept; None keeps none.
        batch_size: of the evaluation.
    """

    priority = "LOW"

    def __init__(
        self,
        dataset: Any,
        degrade: Callable,
        metrics: Sequence[Any],
        interval: int,
        network: nn.Module | None = None,
        batch_size: int = 64,
    ):
        self.dataset, self.degrade, self.interval = dataset, degrade, interval
        self.network, self.batch_size = network, batch_size
        self.metrics = [METRICS.build(metric) for metric in metrics]
        self.judge = next((metric for metric in self.metrics if metric.higher_is_better is not None), None)
        self.best: dict[str, Any] = {"score": None, "iteration": 0}

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        done = batch_idx + 1
        left = runner.max_iters - done
        if left and (done % self.interval or left < self.interval):
            return
        runner.call_hook("before_val")
        runner.call_hook("before_val_epoch")
        runner.model.eval()
        scores = evaluate(runner.model.predict, self.degrade, self.dataset, self.metrics, self.batch_size).means
        try:
            self._keep_best(runner, scores, done)
            self._draw(runner, done)
        except OSError as error:
            log.info("[%s] could not save best weights or samples (%s); those before are kept", runner.name, error)
        runner.call_hook("after_val_epoch", metrics=scores)
        runner.call_hook("after_val")
        runner.model.train()
        shown = "  ".join(f"{name} {value:.4g}" for name, value in scores.items())
        log.debug("%s  val: %s", place(runner, done), shown)
        heads = [metric.name for metric in self.metrics if metric.name in scores]
        line = "  ".join(f"{name} {scores[name]:.4g}" for name in heads)
        log.info("%12s %s", count(runner, done), f"validated: {line}", extra=FOR_PEOPLE)
        runner.visualizer.add_scalars({f"val/{name}": value for name, value in scores.items()}, step=done)

    def _keep_best(self, runner: Any, scores: Mapping[str, float], done: int) -> None:
        if self.network is None or self.judge is None:
            return
        score, best, sign = scores[self.judge.name], self.best["score"], 1 if self.judge.higher_is_better else -1
        if best is not None and sign * score <= sign * best:
            return
        found = {"score": score, "iteration": done}
        if is_main():
            header = {"stage": runner.name, "metric": self.judge.name, **found}
            save_weights(Path(runner.work_dir) / BEST, self.network.state_dict(), header)
        self.best = found

    @torch.no_grad()
    def _draw(self, runner: Any, done: int) -> None:
        if not is_main():
            return
        batch = self.degrade(fetch(self.dataset, range(min(_SAMPLES, len(self.dataset)))))
        batch |= runner.model.predict(batch)
        columns = {name: batch[name] for name in _COLUMNS if name in batch and not (name == "lr_gt" and "sr" in batch)}
        if columns:
            write_png(Path(runner.work_dir) / "samples" / f"iter_{done:08d}.png", face_grid(columns))

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        checkpoint["best"] = self.best

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        self.best = checkpoint.get("best", self.best)  # missing where nothing was validated before

    def after_train(self, runner) -> None:
        if self.best["score"] is not None:
            log.info("[%s] best %s %.4g at iteration %d", runner.name, self.judge.name, *self.best.values())
