"""Checkpoints at intervals."""

from __future__ import annotations

import time

from mmengine.hooks import Hook

from ofhkit.registry import HOOKS
from ofhkit.runtime.distributed import is_main


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
        runner.train_loop.iter = done  # what is saved is the state after this iteration
        try:
            runner.save_checkpoint()
        except OSError as error:
            if done == runner.max_iters:
                raise
            runner.say(f"[{runner.name}] could not save a checkpoint ({error}); training goes on from the one before")
        runner.train_loop.iter = batch_idx
        self.last = time.monotonic()
