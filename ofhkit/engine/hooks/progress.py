"""What a person who waits wants to know: step, iteration, losses, learning rate, speed, time left."""

from __future__ import annotations

import time

import torch
from mmengine.hooks import Hook
from torch import Tensor

from ofhkit.registry import HOOKS


@HOOKS.register_module()
class Progress(Hook):
    """Print one line every ``interval`` iterations with losses averaged since the last one, and log the scalars.

    Losses stay on the device until a line is due: no synchronisation in between.

    Args:
        interval: in iterations.
    """

    priority = "VERY_LOW"

    def __init__(self, interval: int = 50):
        self.interval = interval

    def before_train(self, runner) -> None:
        self.outputs: list[dict[str, Tensor]] = []
        self.start = self.last = time.monotonic()
        self.start_iter = self.last_iter = runner.iter

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.outputs.append(outputs)
        done = batch_idx + 1
        if done % self.interval and done != runner.max_iters:
            return
        losses = average(self.outputs)
        now = time.monotonic()
        rate = runner.train_dataloader.batch_sampler.batch_size * (done - self.last_iter) / (now - self.last)
        left = (runner.max_iters - done) * (now - self.start) / (done - self.start_iter)
        lr = next(iter(_flat(runner.optim_wrapper.get_lr())))
        terms = "  ".join(f"{name} {value:.4g}" for name, value in losses.items())
        width = len(str(runner.max_iters))
        speed = f"lr {lr:.2e}  {rate:.0f} img/s  ETA {clock(left)}"
        runner.say(f"[{runner.name}] {done:>{width}}/{runner.max_iters}  {terms}  {speed}")
        runner.visualizer.add_scalars({**losses, "lr": lr, "images_per_second": rate}, step=done)
        self.outputs, self.last, self.last_iter = [], now, done


def average(outputs: list[dict[str, Tensor]]) -> dict[str, float]:
    """Mean of each scalar over the dictionaries that have it.

    >>> average([{'a': torch.tensor(1.0)}, {'a': torch.tensor(3.0), 'b': torch.tensor(5.0)}])
    {'a': 2.0, 'b': 5.0}
    """
    names = dict.fromkeys(name for output in outputs for name in output)
    return {name: torch.stack([o[name].float() for o in outputs if name in o]).mean().item() for name in names}


def clock(seconds: float) -> str:
    """
    >>> clock(3725)
    '1:02:05'
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"


def _flat(lr: dict | list) -> list[float]:
    return [value for part in lr.values() for value in _flat(part)] if isinstance(lr, dict) else lr
