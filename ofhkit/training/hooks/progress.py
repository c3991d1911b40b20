"""What a person who waits wants to know: step, iteration, losses, learning rate, speed, time left."""

from __future__ import annotations

import os
import sys
import time

import torch
from mmengine.hooks import Hook
from torch import Tensor

from ofhkit.registry import HOOKS
from ofhkit.runtime.distributed import is_main
from ofhkit.runtime.progress import Progress as Bar
from ofhkit.runtime.progress import clock
from ofhkit.training.hooks.trends import Trends

_FIRST = 5  # iterations until the first line, so that a slow machine shows a sign of life


@HOOKS.register_module()
class Progress(Hook):
    """Print one line every ``interval`` iterations with losses averaged since the last one, and log the scalars.

    Losses stay on the device until a line is due: no synchronisation in between. On a terminal a bar shows where the
    step stands between two lines.

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
        self.trends = Trends(runner.max_iters)
        if is_main() and sys.stderr.isatty():
            self.bar = Bar(runner.max_iters, f"[{runner.name}]", done=runner.iter)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.outputs.append(outputs)
        done = batch_idx + 1
        early = done - self.start_iter == _FIRST < self.interval
        if early or done % self.interval == 0 or done == runner.max_iters:
            self.report(runner, done)
        if self.bar is not None:
            self.bar.update(1)

    def report(self, runner, done: int) -> None:
        """Say where the step stands and send the scalars to the visualizer."""
        losses = average(self.outputs)  # waits for the device
        now = time.monotonic()
        seconds = now - self.last
        rate = runner.train_dataloader.batch_sampler.batch_size * (done - self.last_iter) / seconds
        left = (runner.max_iters - done) * (now - self.start) / (done - self.start_iter)
        feed = runner.train_loop.feed
        waiting = min(1.0, (feed.waited - self.waited) / seconds)
        lr = next(iter(_flat(runner.optim_wrapper.get_lr())))
        memory = peak_memory(runner.device)
        terms = "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
        width = len(str(runner.max_iters))
        speed = f"lr {lr:.2e}  {rate:.0f} img/s  data {waiting:.0%}  {memory:.1f} GB  ETA {clock(left)}"
        runner.say(f"[{runner.name}] {done:>{width}}/{runner.max_iters}  {terms}  {speed}")
        for remark in self.trends.look(done, losses):
            runner.say(f"[{runner.name}] note: {remark}")
        cost = {"images_per_second": rate, "data_wait_share": waiting, "memory_gb": memory}
        runner.visualizer.add_scalars({**losses, "lr": lr, **cost}, step=done)
        self.outputs, self.last, self.last_iter, self.waited = [], now, done, feed.waited


def average(outputs: list[dict[str, Tensor]]) -> dict[str, float]:
    """Mean of each scalar over the dictionaries that have it.

    >>> average([{'a': torch.tensor(1.0)}, {'a': torch.tensor(3.0), 'b': torch.tensor(5.0)}])
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
