"""From a configuration file to a finished method: what ``ofhkit train`` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ofhkit.config import load_config
from ofhkit.evaluation.compare import compare
from ofhkit.evaluation.pipelines import resolve_data
from ofhkit.runtime.distributed import on_main
from ofhkit.runtime.progress import worth_opening
from ofhkit.training.curriculum import Options, check_run, run_curriculum
from ofhkit.zoo.runs import name_run

__all__ = ["Options", "train"]


def train(
    config_file: str | Path,
    options: Options,
    data_root: str | Path | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Path:
    """Run a configuration's curriculum; returns the path of the finished ``model.safetensors``.

    Its folder under ``options.work_dir`` is called after the file and what ``cfg_options`` change of model, losses and
    data; what another run has finished is never written over.

    Args:
        config_file: of ``configs/``.
        options: where and how.
        data_root: overrides the configuration's; a raw CelebA folder is prepared once.
        cfg_options: dotted keys to values.
        seed: overrides ``runtime.seed``.

    Raises:
        OfhkitError: whatever a user can fix.
    """
    overrides = dict(cfg_options or {})
    if seed is not None:
        overrides["runtime.seed"] = seed
    config = load_config(config_file, overrides)
    check_run(config, options)
    resolve_data(config, data_root)
    plain, stem = load_config(config_file), Path(config_file).stem
    name, config.method = on_main(lambda: name_run(config, plain, stem, options.work_dir))
    model = run_curriculum(config, name, options)
    if config.evaluation.after_training and on_main(model.is_file):
        limit = config.evaluation.after_training
        compare([model.parent], options.work_dir, out=model.parent, limit=limit, device=options.device, quick=True)
        worth_opening(model.parent / "grid.png", model.parent / "table1.md", model)
    return model
