"""MMEngine's runner, with checkpoints that resume exactly and silence where there is nothing to say."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook, ParamSchedulerHook
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner as MMRunner
from torch import nn
from torch.utils.data import DataLoader

from ofhkit.errors import OfhkitError
from ofhkit.runtime.distributed import is_main, on_main
from ofhkit.runtime.progress import log
from ofhkit.training.checkpoint import load_checkpoint, newest_checkpoint, save_checkpoint
from ofhkit.training.stage import Stage
from ofhkit.zoo.weights import check_fit, load_strictly

_MMENGINE_DEFAULT_HOOKS = ("runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint")


class Runner(MMRunner):
    """Train one stage; what hooks of MMEngine read of its runner is there under the same names.

    Args:
        stage: what is trained; hooks find it as ``runner.model``.
        folder: checkpoints and logs go there.
        loader: of :func:`ofhkit.data.sampler.training_loader`.
        loop: configuration of the loop.
        optim_wrapper: one, or an OptimWrapperDict.
        schedulers: as of :func:`ofhkit.training.optim.build_schedulers`.
        hooks: called in their order of priority.
        device: where to train.
        seed: of dropout.
        visualizer: MMEngine's configuration, or None.
    """

    def __init__(
        self,
        stage: Stage,
        folder: Path,
        loader: DataLoader,
        loop: Mapping[str, Any],
        optim_wrapper: OptimWrapper,
        schedulers: Any,
        hooks: Sequence[Hook],
        device: torch.device,
        seed: int = 0,
        visualizer: Mapping[str, Any] | None = None,
    ):
        self.name, self.device = stage.name, device
        super().__init__(
            model=stage,
            work_dir=str(folder),
            train_dataloader=loader,
            train_cfg=dict(loop),
            optim_wrapper=optim_wrapper,
            param_scheduler=schedulers,
            default_hooks=dict.fromkeys(_MMENGINE_DEFAULT_HOOKS),
            custom_hooks=[ParamSchedulerHook(), *hooks],
            resume=True,
            log_level="WARNING",
            default_scope=None,
            randomness=dict(seed=seed),
            experiment_name=f"{stage.name}-{uuid.uuid4().hex[:8]}",
            visualizer=visualizer,
        )

    def train(self) -> nn.Module:
        """Train from the newest checkpoint to the end, and keep what is said in ``train.log`` (the first process)."""
        lines = _log_file(Path(self.work_dir) / "train.log") if is_main() else logging.NullHandler()
        log.addHandler(lines)
        try:
            self._train_loop = self.build_train_loop(self._train_loop)
            self.call_hook("before_run")
            self.load_or_resume()
            self.optim_wrapper.initialize_count_status(self.model, self.iter, self.max_iters)
            self.train_loop.run()
            self.call_hook("after_run")
        finally:
            log.removeHandler(lines)
            lines.close()
        return self.model

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

    def save_checkpoint(self, out_dir: str | None = None, **_: Any) -> Path:  # type: ignore[override]
        """Write everything that an exact resume needs, atomically; called, as MMEngine's, after an iteration."""
        iteration = self.iter + 1
        state = {
            "meta": {"iter": iteration, "epoch": self.epoch},
            "state_dict": self.model.state_dict(),
            "optimizer": self.optim_wrapper.state_dict(),
            "param_schedulers": {name: [s.state_dict() for s in group] for name, group in self._schedulers().items()},
        }
        self.call_hook("before_save_checkpoint", checkpoint=state)
        return save_checkpoint(Path(out_dir or self.work_dir), iteration, state)

    def _schedulers(self) -> dict[str, list]:
        """Schedulers by the optimizer they belong to; of a single one under an empty name."""
        schedulers = self.param_schedulers or {}
        return schedulers if isinstance(schedulers, dict) else {"": schedulers}

    def _check(self, state: Any, source: str) -> None:
        """Refuse what is no checkpoint of this training, before anything is loaded from it.

        Raises:
            OfhkitError: it holds something else, or weights, optimizers or schedules of something else.
        """
        keys = ("meta", "state_dict", "optimizer", "param_schedulers")
        parts = [state.get(key) for key in keys] if isinstance(state, dict) else [None]
        if not all(isinstance(part, dict) for part in parts) or not isinstance(parts[0].get("iter"), int):
            raise OfhkitError(f"{source} is no checkpoint of a training")
        check_fit(self.model, state["state_dict"], source)
        lengths = {name: len(group) for name, group in self._schedulers().items()}
        alike = _outline(state["optimizer"]) == _outline(self.optim_wrapper.state_dict())
        alike &= {name: len(group) for name, group in state["param_schedulers"].items()} == lengths
        if not alike or not 0 <= state["meta"]["iter"] <= self.max_iters:
            raise OfhkitError(f"{source} is a checkpoint of another training")

    def load_or_resume(self) -> None:
        """Go on from the newest readable checkpoint of the folder, if there is one."""
        newest = on_main(lambda: newest_checkpoint(Path(self.work_dir), self._check))
        if newest is None:
            return
        state = load_checkpoint(newest)
        self.call_hook("after_load_checkpoint", checkpoint=state)  # a hook may exchange weights in it
        load_strictly(self.model, state["state_dict"], f"the checkpoint in {self.work_dir}")
        self.optim_wrapper.load_state_dict(state["optimizer"])
        for name, group in self._schedulers().items():
            for scheduler, saved in zip(group, state["param_schedulers"][name], strict=True):
                scheduler.load_state_dict(saved)
        self.train_loop.iter = state["meta"]["iter"]
        log.info("[%s] goes on at iteration %d", self.name, self.iter)


def _outline(state: Any) -> Any:
    """The keys of an optimizer's state down to its groups, and how many parameters each holds."""
    if isinstance(state, Mapping) and "optimizer" in state:  # of mixed precision
        return _outline(state["optimizer"])
    if isinstance(state, Mapping) and "param_groups" in state:
        return [len(group["params"]) for group in state["param_groups"]]
    return {key: _outline(value) for key, value in state.items()} if isinstance(state, Mapping) else None


def _log_file(path: Path) -> logging.Handler:
    """Append lines with their time to a file; a full disk does not end a training."""
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError:
        return logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    handler.addFilter(lambda record: not hasattr(record, "short"))
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    return handler
