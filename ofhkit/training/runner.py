"""The common runner: MMEngine's, with checkpoints that resume, a loop that seeks, and silence where nothing is said."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook, ParamSchedulerHook
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop
from mmengine.runner import Runner as MMRunner
from torch import nn
from torch.utils.data import DataLoader

from ofhkit.data.prefetch import Feed
from ofhkit.errors import OfhkitError
from ofhkit.runtime.distributed import average, is_main, once
from ofhkit.training.checkpoint import check_fit, load_checkpoint, load_strictly, newest_checkpoint, save_checkpoint

_MMENGINE_DEFAULT_HOOKS = ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint")


def reseed(seed: int, device: torch.device) -> None:
    """Set the generators that a model on ``device`` draws from (``torch.manual_seed`` sets all, which costs more)."""
    torch.default_generator.manual_seed(seed)
    if device.type in ("cuda", "mps"):
        getattr(torch, device.type).manual_seed(seed)


class TrainLoop(BaseLoop):
    """Iterate from wherever the run stands to ``max_iters``, calling hooks around ``model.train_step``."""

    def __init__(self, runner: Runner, dataloader: DataLoader, max_iters: int, seed: int):
        super().__init__(runner, dataloader)
        self.max_iters, self.seed = max_iters, seed
        self.iter = self.epoch = 0
        self.max_epochs, self.val_interval, self.val_begin = 1, 0, 0

    # MMEngine's runner and hooks read and set these two underscored names.
    @property
    def _iter(self) -> int:
        return self.iter

    @_iter.setter
    def _iter(self, value: int) -> None:
        self.iter = value

    def run(self) -> nn.Module:
        runner, model = self.runner, self.runner.model
        model.train()
        runner.call_hook("before_train")
        self.dataloader.batch_sampler.start = self.iter
        self.feed = Feed(self.dataloader, runner.device, runner.prefetch)
        for data in self.feed:
            reseed(self.seed * 1_000_003 + self.iter, runner.device)  # dropout: a function of (seed, iteration)
            runner.call_hook("before_train_iter", batch_idx=self.iter, data_batch=data)
            outputs = average(model.train_step(data, optim_wrapper=runner.optim_wrapper))
            runner.call_hook("after_train_iter", batch_idx=self.iter, data_batch=data, outputs=outputs)
            self.iter += 1
        runner.call_hook("after_train")
        return model


class Runner(MMRunner):
    """Train one step of a curriculum.

    Args:
        name: shown in progress lines.
        model: has ``train_step(data, optim_wrapper)``.
        folder: checkpoints and logs go there.
        loader: of :func:`ofhkit.data.sampler.training_loader`.
        iterations: where to stop.
        optim_wrapper: one, or an OptimWrapperDict.
        schedulers: as of :func:`ofhkit.training.optim.build_schedulers`.
        hooks: called in their order of priority.
        device: where to train.
        seed: of dropout.
        visualizer: MMEngine's configuration, or None.
        prefetch: on CUDA, copy one batch ahead.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        folder: Path,
        loader: DataLoader,
        iterations: int,
        optim_wrapper: OptimWrapper,
        schedulers: Any,
        hooks: Sequence[Hook],
        device: torch.device,
        seed: int = 0,
        visualizer: Mapping[str, Any] | None = None,
        prefetch: bool = True,
    ):
        self.name, self.device, self.prefetch = name, device, prefetch
        super().__init__(
            model=model,
            work_dir=str(folder),
            train_dataloader=loader,
            train_cfg=dict(type=TrainLoop, max_iters=iterations, seed=seed),
            optim_wrapper=optim_wrapper,
            param_scheduler=schedulers,
            default_hooks=dict.fromkeys(_MMENGINE_DEFAULT_HOOKS),
            custom_hooks=[ParamSchedulerHook(), *hooks],
            log_level="WARNING",
            default_scope=None,
            randomness=dict(seed=seed),
            experiment_name=f"{name}-{uuid.uuid4().hex[:8]}",
            visualizer=visualizer,
        )

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Move the model to this runner's device."""
        return model.to(self.device)

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any) -> MMLogger:
        """MMEngine's logger; only the first process writes a file."""
        if is_main():
            return super().build_logger(log_level, log_file, **kwargs)
        return MMLogger.get_instance(self.experiment_name, log_level=log_level)

    def _log_env(self, env_cfg: dict) -> None:
        """Say nothing: the curriculum says once what it runs on."""

    def say(self, line: str) -> None:
        """Print a line for the person who waits, and keep it in the step's log."""
        if not is_main():
            return
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""  # the bar
        print(f"{clear}{line}", file=sys.stderr, flush=True)
        with (
            contextlib.suppress(OSError),  # a full disk does not end a training
            (Path(self.work_dir) / "train.log").open("a", encoding="utf-8") as log,
        ):
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")

    def save_checkpoint(self, out_dir: str | None = None, **_: Any) -> Path:  # type: ignore[override]
        """Write everything that an exact resume needs, atomically."""
        state = {
            "iteration": self.iter,
            "model": self.model.state_dict(),
            "optim": self.optim_wrapper.state_dict(),
            "schedulers": {name: [s.state_dict() for s in group] for name, group in self._groups().items()},
        }
        for hook in self.hooks:
            self.call_before_save(hook, state)
        return save_checkpoint(Path(out_dir or self.work_dir), self.iter, state)

    def call_before_save(self, hook: Hook, state: dict) -> None:
        """Let a hook add to what is saved (MMEngine's ``before_save_checkpoint``)."""
        hook.before_save_checkpoint(self, state)

    def _groups(self) -> dict[str, list]:
        """Schedulers by the optimizer they belong to; of a single one under an empty name."""
        schedulers = self.param_schedulers or {}
        return schedulers if isinstance(schedulers, dict) else {"": schedulers}

    def _check(self, state: Any, source: str) -> None:
        """Refuse what is no checkpoint of this training, before anything is loaded from it.

        Raises:
            OfhkitError: it holds something else, or weights, optimizers or schedules of something else.
        """
        iteration = state.get("iteration") if isinstance(state, dict) else None
        parts = [state.get(key) for key in ("model", "optim", "schedulers")] if isinstance(state, dict) else [None]
        if not isinstance(iteration, int) or not all(isinstance(part, dict) for part in parts):
            raise OfhkitError(f"{source} is no checkpoint of a training")
        check_fit(self.model, state["model"], source)
        lengths = {name: len(group) for name, group in self._groups().items()}
        alike = _outline(state["optim"]) == _outline(self.optim_wrapper.state_dict())
        alike &= {name: len(group) for name, group in state["schedulers"].items()} == lengths
        if not alike or not 0 <= iteration <= self.max_iters:
            raise OfhkitError(f"{source} is a checkpoint of another training")

    def load_or_resume(self) -> None:
        """Go on from the newest readable checkpoint of the folder, if there is one."""
        newest = once(lambda: newest_checkpoint(Path(self.work_dir), self.say, self._check))
        if newest is None:
            return
        state = load_checkpoint(newest)
        load_strictly(self.model, state["model"], f"the checkpoint in {self.work_dir}")
        self.optim_wrapper.load_state_dict(state["optim"])
        for name, group in self._groups().items():
            for scheduler, saved in zip(group, state["schedulers"][name], strict=True):
                scheduler.load_state_dict(saved)
        for hook in self.hooks:
            hook.after_load_checkpoint(self, state)
        self.train_loop.iter = state["iteration"]
        self.say(f"[{self.name}] goes on at iteration {state['iteration']}")


def _outline(state: Any) -> Any:
    """The keys of an optimizer's state down to its groups, and how many parameters each holds."""
    if isinstance(state, Mapping) and "optimizer" in state:  # of mixed precision
        return _outline(state["optimizer"])
    if isinstance(state, Mapping) and "param_groups" in state:
        return [len(group["params"]) for group in state["param_groups"]]
    return {key: _outline(value) for key, value in state.items()} if isinstance(state, Mapping) else None


def quiet_mmengine() -> None:
    """Keep MMEngine's set-up chatter out of the terminal; its warnings stay."""
    logging.getLogger("mmengine").setLevel(logging.WARNING)
