"""What a person who waits wants to see: progress lines, scores, sample grids, remarks; and where scalars go."""

import math
import os
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor

from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.registry import HOOKS
from ofhkit.runtime.distributed import is_main
from ofhkit.runtime.progress import FOR_PEOPLE, clock, in_columns, log
from ofhkit.runtime.progress import Progress as Bar

_FIRST = 5  # iterations until the first line, so that a slow machine shows a sign of life
_BACKENDS = {"tensorboard": "TensorboardVisBackend", "wandb": "WandbVisBackend"}
_PACKAGES = {backend: package for package, backend in _BACKENDS.items()}
_GAME = ("d_real_right", "d_fake_right", "adversary_share")
_IN_THE_FILE = ("d_real", "d_fake")  # losses of the discriminator; a person reads how often it is right
_WON, _ROUNDS = 0.99, 3  # share of faces judged rightly; looks in a row before it is said
_DIVERGED = 2.0  # times the best loss so far
_PATIENCE, _GAIN = 0.25, 0.01  # share of the stage without a gain of that share


@HOOKS.register_module()
class Progress(Hook):
    """Log one line every ``interval`` iterations with losses averaged since the last one, and send on the scalars.

    A person reads columns of at most 80 characters; rate of learning, speed and memory stand in ``train.log`` too.

    Losses stay on the device until a line is due: no synchronisation in between. On a terminal a bar shows where the
    stage stands between two lines.

    Args:
        interval: in iterations.
    """

    priority = "VERY_LOW"

    def __init__(self, interval: int = 50):
        self.interval = interval
        self.bar: Bar | None = None

    def before_train(self, runner) -> None:
        self.outputs: list[dict[str, Tensor]] = []
        self.start = self.last = time.monotonic()
        self.start_iter = self.last_iter = runner.iter
        self.waited = 0.0
        self.diagnostics = Diagnostics(runner.max_iters)
        self.titles: list[str] = []
        if is_main() and sys.stderr.isatty():
            stage = runner.model
            self.bar = Bar(runner.max_iters, f"{runner.name}, {stage.place}", done=runner.iter, later=stage.later)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.outputs.append(outputs)
        done = batch_idx + 1
        early = done - self.start_iter == _FIRST < self.interval
        if early or done % self.interval == 0 or done == runner.max_iters:
            self.report(runner, done)
        if self.bar is not None:
            self.bar.update(1)

    def after_train(self, runner) -> None:
        if self.bar is not None:  # where a hook stopped the stage early
            self.bar.close()

    def report(self, runner, done: int) -> None:
        """Say where the stage stands and send the scalars to the visualizer."""
        losses = mean_losses(self.outputs)  # waits for the device
        now = time.monotonic()
        seconds = now - self.last
        rate = runner.train_dataloader.batch_sampler.batch_size * (done - self.last_iter) / seconds
        left = (runner.max_iters - done) * (now - self.start) / (done - self.start_iter)
        waited = runner.train_loop.batches.waited
        waiting = min(1.0, (waited - self.waited) / seconds)
        lr = next(iter(_flat(runner.optim_wrapper.get_lr())))
        memory = peak_memory(runner.device)
        terms = "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
        speed = f"lr {lr:.2e}  {rate:.0f} img/s  data {waiting:.0%}  {memory:.1f} GB  ETA {clock(left)}"
        log.debug("%s  %s  %s", place(runner, done), terms, speed)
        self.show(runner, done, losses)
        for remark in self.diagnostics.look(done, losses):
            log.info("[%s] note: %s", runner.name, remark)
        cost = {"images_per_second": rate, "data_wait_share": waiting, "memory_gb": memory}
        runner.visualizer.add_scalars({**losses, "lr": lr, **cost}, step=done)
        self.outputs, self.last, self.last_iter, self.waited = [], now, done, waited

    def show(self, runner: Any, done: int, losses: Mapping[str, float]) -> None:
        """Print a row, and their titles above where a loss is new: the total, its parts, then the adversary's game."""
        losses = {name: value for name, value in losses.items() if name not in _IN_THE_FILE}
        if not set(losses) <= set(self.titles):
            new = [name for name in losses if name not in self.titles]
            self.titles = sorted([*self.titles, *new], key=lambda name: (name != "total", name in _GAME))
            above, below = zip(*map(two_lines, self.titles))
            if any(above):
                log.info(in_columns(["", *above]), extra=FOR_PEOPLE)
            log.info(in_columns([runner.name, *below]), extra=FOR_PEOPLE)
        values = (losses.get(name) for name in self.titles)
        cells = ["" if v is None else f"{v:.4g}" if v == 0 or abs(v) >= 1e-3 else f"{v:.1e}" for v in values]
        log.info(in_columns([count(runner, done), *cells]), extra=FOR_PEOPLE)


def count(runner: Any, done: int) -> str:
    return f"{done:>{len(str(runner.max_iters))}}/{runner.max_iters}"


def two_lines(title: str, width: int = 8) -> tuple[str, str]:
    """A column's title; the first line is empty where one is enough.

    >>> two_lines("pixel"), two_lines("d_real_right"), two_lines("adversarial")
    (('', 'pixel'), ('d_real', 'right'), ('adversa-', 'rial'))
    """
    first, _, last = title.rpartition("_")
    if len(title) <= width:
        return "", title
    return (first, last) if first and len(first) <= width else (f"{title[: width - 1]}-", title[width - 1 :])


def place(runner: Any, done: int) -> str:
    return f"[{runner.name}] {count(runner, done)}"


def mean_losses(outputs: list[dict[str, Tensor]]) -> dict[str, float]:
    """Mean of each scalar over the dictionaries that have it.

    >>> mean_losses([{'a': torch.tensor(1.0)}, {'a': torch.tensor(3.0), 'b': torch.tensor(5.0)}])
    {'a': 2.0, 'b': 5.0}
    """
    names = dict.fromkeys(name for output in outputs for name in output)
    return {name: torch.stack([o[name].float() for o in outputs if name in o]).mean().item() for name in names}


def peak_memory(device: torch.device) -> float:
    """Most memory in GB that tensors on a CUDA device, or else this process, have taken so far (0 on Windows)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    if os.name == "nt":
        return 0.0
    import resource  # POSIX only

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _flat(lr: dict | list) -> list[float]:
    return [value for part in lr.values() for value in _flat(part)] if isinstance(lr, dict) else lr


class Diagnostics:
    """Look at averaged losses and remark, once a kind, on what a person should know.

    A training may diverge or stand still, and one of generator and discriminator may have won.

    Args:
        iterations: of the whole stage.

    >>> diagnostics = Diagnostics(100)
    >>> diagnostics.look(10, {'total': 1.0}), diagnostics.look(20, {'total': 0.5})
    ([], [])
    >>> diagnostics.look(30, {'total': 1.2})
    ['total 1.2 is more than 2 times its best, 0.5 at iteration 20: it may be diverging; try a lower learning rate']
    """

    def __init__(self, iterations: int):
        self.patience = _PATIENCE * iterations
        self.best, self.best_at = math.inf, 0
        self.won = self.fooled = 0
        self.said: set[str] = set()

    def look(self, done: int, losses: Mapping[str, float]) -> list[str]:
        """Return the remarks on the losses, averaged since the last look, after ``done`` iterations."""
        remarks = {**self._course(done, losses.get("total")), **self._adversary(losses)}
        new = [text for kind, text in remarks.items() if kind not in self.said]
        self.said |= set(remarks)
        return new

    def _course(self, done: int, total: float | None) -> dict[str, str]:
        if total is None:
            return {}
        if total < self.best - _GAIN * abs(self.best) or self.best_at == 0:
            self.best, self.best_at = total, done
            self.said -= {"plateau", "divergence"}
        best = f"{self.best:.4g} at iteration {self.best_at}"
        if total > _DIVERGED * self.best > 0:
            text = f"total {total:.4g} is more than {_DIVERGED:g} times its best, {best}: it may be diverging"
            return {"divergence": f"{text}; try a lower learning rate"}
        if done - self.best_at >= self.patience:
            return {"plateau": f"total has not fallen by {_GAIN:.0%} since its best, {best}: a plateau"}
        return {}

    def _adversary(self, losses: Mapping[str, float]) -> dict[str, str]:
        if "d_real_right" not in losses:
            return {}
        real, fake = losses["d_real_right"], losses["d_fake_right"]
        self.won = self.won + 1 if min(real, fake) >= _WON else 0
        self.fooled = self.fooled + 1 if max(real, fake) <= 1 - _WON else 0
        share = f"{real:.0%} of real and {fake:.0%} of hallucinated faces"
        if self.won == _ROUNDS:
            return {"won": f"the discriminator is right on {share}: its gradient says little; slow it or weigh it less"}
        if self.fooled == _ROUNDS:
            return {"fooled": f"the discriminator is right on {share} only: it has lost; raise its learning rate"}
        return {}


def pick_visualizer(wanted: Mapping[str, Any] | str | None) -> dict[str, Any] | None:
    """Return MMEngine's configuration of a visualizer whose backends can be imported; log those that cannot.

    Args:
        wanted: ``tensorboard``, ``wandb``, or a configuration with ``vis_backends``; None: a local file only.

    Raises:
        OfhkitError: no such backend.

    >>> pick_visualizer('wand')
    Traceback (most recent call last):
    ofhkit.errors.OfhkitError: runtime.visualizer: no backend 'wand'; did you mean 'wandb'?
    """
    if wanted is None:
        return None
    if isinstance(wanted, str):
        if wanted not in _BACKENDS:
            raise OfhkitError(f"runtime.visualizer: no backend {wanted!r}; {did_you_mean(wanted, _BACKENDS)}")
        wanted = dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend"), dict(type=_BACKENDS[wanted])])
    there = []
    for backend in wanted.get("vis_backends") or ():
        package = _PACKAGES.get(backend["type"])
        if package is not None and find_spec(package) is None:
            log.info("%s is not installed: scalars are not sent there (pip install %s)", package, package)
        else:
            there.append(dict(backend))
    return {**wanted, "vis_backends": there or [dict(type="LocalVisBackend")]}
