"""What tools and notebooks call: train, test, load_model, hallucinate."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ofhkit.config import from_json, load_config, request_custom_imports
from ofhkit.datasets.celeba import find_or_prepare
from ofhkit.engine.checkpoint import load_strictly, load_weights
from ofhkit.engine.curriculum import MODEL, Options, check_run, run_curriculum
from ofhkit.engine.draws import fetch
from ofhkit.engine.evaluation import evaluate
from ofhkit.engine.runner import pick_device
from ofhkit.errors import OfhkitError
from ofhkit.files import atomic_write
from ofhkit.functional.grids import face_grid, write_png
from ofhkit.models.hallucinators import BaseHallucinator
from ofhkit.progress import Progress
from ofhkit.registry import DATASETS, DEGRADATIONS, HALLUCINATORS, UPSAMPLERS
from ofhkit.reports.tables import markdown_table

GRID_FACES = 8


def say(line: str) -> None:
    """Print a line for the person who waits; results go to standard output, this does not."""
    print(line, file=sys.stderr, flush=True)


def train(
    config_file: str | Path,
    options: Options,
    data_root: str | Path | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Path:
    """Run a configuration's curriculum; returns the path of the finished ``model.safetensors``.

    Args:
        config_file: of ``configs/``.
        options: where and how.
        data_root: overrides the configuration's; a raw CelebA folder is prepared once.
        cfg_options: dotted keys to values.
        seed: overrides ``runtime.seed``.

    Raises:
        OfhkitError: whatever a user can mend.
    """
    overrides = dict(cfg_options or {})
    if seed is not None:
        overrides["runtime.seed"] = seed
    config = load_config(config_file, overrides)
    check_run(config, options)
    _resolve_data(config, data_root)
    name = Path(config_file).stem
    model = run_curriculum(config, name, options, say)
    if config.evaluation.after_training and model.is_file():
        limit = config.evaluation.after_training
        compare([config_file], options.work_dir, out=model.parent, limit=limit, device=options.device)
    return model


def _resolve_data(config: Any, data_root: str | Path | None) -> None:
    """Point the data set at a pack, preparing one where the root is a raw CelebA folder."""
    dataset = config.data.dataset
    if data_root is not None:
        if "root" not in dataset:
            config.data.dataset = dataset = type(dataset)(type="PackedFaces")
        dataset["root"] = str(data_root)
    if "root" in dataset:
        dataset["root"] = str(find_or_prepare(dataset["root"], say=say))


@dataclass(frozen=True)
class Pipeline:
    """A finished pipeline and the configuration it was trained with."""

    name: str
    model: BaseHallucinator
    config: Any


def load_model(file: str | Path, device: str | torch.device = "auto") -> BaseHallucinator:
    """Load a pipeline from the ``model.safetensors`` that training wrote; no configuration is needed.

    Args:
        file: safetensors with ofhkit's header.
        device: auto, cpu, cuda or mps.

    Returns:
        The pipeline in eval mode, with ``info`` (method, components, data, budget, seed).

    Raises:
        OfhkitError: no such file, not one of ours, or weights that do not fit.
    """
    tensors, header = load_weights(file)
    if "model" not in header:
        raise OfhkitError(f"{file} holds one component ({header.get('component')}), not a pipeline; name a {MODEL}")
    model = HALLUCINATORS.build(header["model"])
    load_strictly(model, tensors, str(file))
    model.info = header
    return model.to(pick_device(device) if isinstance(device, str) else device).eval()


def find_pipelines(configs: Sequence[str | Path], work_dir: Path, device: str) -> list[Pipeline]:
    """Load each configuration's finished pipeline (all under ``work_dir`` if none is named).

    Raises:
        OfhkitError: lists every configuration that is not trained, with the command that trains it.
    """
    if configs:
        untrained = [c for c in configs if not (work_dir / Path(c).stem / MODEL).is_file()]
        request_custom_imports(configs)
        folders = [work_dir / Path(c).stem for c in configs]
        if untrained:
            commands = "\n".join(f"  python tools/train.py {c} --work-dir {work_dir}" for c in untrained)
            raise OfhkitError(f"not trained under {work_dir}: {', '.join(map(str, untrained))}; train with\n{commands}")
    else:
        folders = sorted(path.parent for path in work_dir.glob(f"*/{MODEL}"))
        if not folders:
            raise OfhkitError(f"nothing is trained under {work_dir}; train with python tools/train.py CONFIG")
    return [
        Pipeline(folder.name, load_model(folder / MODEL, device), from_json(folder / "config.json"))
        for folder in folders
    ]


def compare(
    configs: Sequence[str | Path] = (),
    work_dir: Path = Path("work_dirs"),
    data_root: str | Path | None = None,
    out: Path = Path("outputs"),
    checkpoint: Path | None = None,
    limit: int | None = None,
    device: str = "auto",
    cfg_options: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Score finished pipelines on the test split; writes ``table1.md``, ``results.json`` and ``grid.png`` into ``out``.

    Args:
        configs: configuration files; none = everything finished under ``work_dir``.
        checkpoint: score this file instead of the newest finished run of the one configuration.
        limit: only the first so many test faces.
        cfg_options: overrides of the data and evaluation settings.

    Returns:
        One row a method: ``method``, ``config`` and the metrics as plain numbers.

    Raises:
        OfhkitError: untrained configurations, mismatching weights, pipelines of different data or degradation.
    """
    if checkpoint is not None and len(configs) != 1:
        raise OfhkitError("--checkpoint goes with exactly one CONFIG")
    if checkpoint is not None:
        config = load_config(configs[0], cfg_options)
        pipelines = [Pipeline(Path(configs[0]).stem, load_model(checkpoint, device), config)]
    else:
        pipelines = find_pipelines(configs, Path(work_dir), device)
    config = pipelines[0].config
    for other in pipelines[1:]:
        if other.config.data.degradation != config.data.degradation:
            raise OfhkitError(
                f"{other.name} and {pipelines[0].name} were trained for different degradations (data.degradation): "
                "their numbers do not belong in one table"
            )
    _override(config, cfg_options)
    _resolve_data(config, data_root)
    dataset = DATASETS.build(config.data.dataset, split="test", **({} if limit is None else {"limit": limit}))
    degradation = DEGRADATIONS.build(config.data.degradation)
    pipelines = _with_bicubic(pipelines)
    shown = fetch(dataset, range(min(GRID_FACES, len(dataset))))
    columns: dict[str, torch.Tensor] = {}
    rows = []
    for pipeline in pipelines:
        pipeline.model.data_preprocessor = degradation.to(pick_device(device))
        bar = Progress(len(dataset), f"{pipeline.model.info['method']}: faces")
        scores = evaluate(
            pipeline.model,
            dataset,
            list(config.evaluation.metrics.values()),
            config.evaluation.batch_size,
            progress=bar.update,
        )
        info = pipeline.model.info
        rows.append({"method": info["method"], "config": pipeline.name, **scores.means, "budget": info["budget"]})
        with torch.no_grad():
            outputs = pipeline.model.test_step(dict(shown))[0]
        columns = columns or {"lr": outputs["lr"], "completed": outputs["completed"]}
        columns[info["method"]] = outputs["sr"]
    columns["hr"] = outputs["hr"]
    write_png(out / "grid.png", face_grid(columns))
    protocol = _protocol(config, dataset)
    table = markdown_table(rows, protocol)
    atomic_write(out / "table1.md", table)
    atomic_write(out / "results.json", json.dumps({"protocol": protocol, "rows": rows}, indent=2, allow_nan=False))
    print(table)
    return rows


def _override(config: Any, cfg_options: Mapping[str, Any] | None) -> None:
    for key, value in (cfg_options or {}).items():
        if key.partition(".")[0] not in ("data", "evaluation"):
            raise OfhkitError(
                f"--cfg-options {key}: tools/test.py scores what was trained; only data and evaluation change"
            )
        config.merge_from_dict({key: value})


def _with_bicubic(pipelines: Sequence[Pipeline]) -> list[Pipeline]:
    """Put IN + bicubic, made of the first pipeline's inpainter, before the others unless it is there."""
    if any(p.model.info["method"] == "IN+bicubic" for p in pipelines):
        return list(pipelines)
    like = pipelines[0]
    upsampler = UPSAMPLERS.build(dict(type="Bicubic"))
    model = HALLUCINATORS.build(dict(type="FaceHallucinator", inpainter=like.model.inpainter, upsampler=upsampler))
    model.info = {**like.model.info, "method": "IN+bicubic"}
    return [Pipeline(like.name, model.eval(), like.config), *pipelines]


def _protocol(config: Any, dataset: Any) -> dict[str, Any]:
    degradation = config.data.degradation
    return {
        "data": dataset.metainfo["name"],
        "data_hash": dataset.metainfo["data_hash"],
        "split": "test",
        "num_images": len(dataset),
        "colour": "RGB, float, [0, 1], all pixels",
        "downsampling": "antialiased cubic (a = -0.5), clamped, not quantised",
        "degradation": degradation.to_dict() if hasattr(degradation, "to_dict") else dict(degradation),
        "hole_seed": degradation.get("test_seed", 0),
        "ssim": "Gaussian 11x11, sigma 1.5, K 0.01/0.03, valid region, mean of channels",
    }


@dataclass(frozen=True)
class Result:
    """A hallucinated face, or a batch of them; ``np.asarray(result)`` is ``sr``.

    Attributes:
        sr: (…, 128, 128, 3) RGB, uint8 or float as the input.
        completed: (…, 16, 16, 3), the input with its hole filled.
        mask: (…, 16, 16) bool, True = occluded.
    """

    sr: np.ndarray
    completed: np.ndarray
    mask: np.ndarray

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.sr if dtype is None else self.sr.astype(dtype)


@torch.no_grad()
def hallucinate(model: nn.Module, image: np.ndarray, mask: np.ndarray | None = None) -> Result:
    """Turn tiny faces with holes into complete large ones.

    Args:
        model: of :func:`load_model`.
        image: (16, 16, 3) or (N, 16, 16, 3) RGB, uint8, or float in [0, 1].
        mask: (16, 16) or (N, 16, 16); nonzero = occluded. None: nothing is.

    Raises:
        OfhkitError: another shape, type or range; says which was expected.

    >>> import ofhkit, numpy as np
    >>> model = HALLUCINATORS.build(dict(type='FaceHallucinator', inpainter=dict(type='EncoderDecoder'),
    ...     upsampler=dict(type='Bicubic'))).eval()
    >>> ofhkit.hallucinate(model, np.zeros((16, 16, 3), np.uint8), np.ones((16, 16))).sr.shape
    (128, 128, 3)
    """
    image = np.asarray(image)
    single = image.ndim == 3
    batch = image[None] if single else image
    if batch.ndim != 4 or batch.shape[-1] != 3 or batch.shape[1] % 4 or batch.shape[2] % 4:
        raise OfhkitError(f"image must be (16, 16, 3) or (N, 16, 16, 3) RGB, got {image.shape}")
    holes = np.zeros(batch.shape[:3], bool) if mask is None else np.asarray(mask) != 0
    holes = holes[None] if holes.ndim == 2 else holes
    if holes.shape != batch.shape[:3]:
        raise OfhkitError(f"mask must be {batch.shape[1:3]} or {batch.shape[:3]}, got {np.shape(mask)}")
    integer = batch.dtype == np.uint8
    if not integer and not np.issubdtype(batch.dtype, np.floating):
        raise OfhkitError(f"image must be uint8, or float in [0, 1], got {batch.dtype}")
    if not integer and not (np.isfinite(batch).all() and batch.min(initial=0) >= 0 and batch.max(initial=0) <= 1):
        raise OfhkitError("a float image must lie in [0, 1] and hold no NaN; divide by 255, or pass uint8")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    x = torch.from_numpy(np.ascontiguousarray(batch)).to(device).permute(0, 3, 1, 2).float() / (255 if integer else 1)
    m = torch.from_numpy(holes).to(device)[:, None].float()
    out = model.predict(x * (1 - m), m)

    def back(t: torch.Tensor) -> np.ndarray:
        t = t.permute(0, 2, 3, 1)
        array = (t * 255).round().to(torch.uint8).cpu().numpy() if integer else t.cpu().numpy().astype(batch.dtype)
        return array[0] if single else array

    return Result(back(out["sr"]), back(out["completed"]), holes[0] if single else holes)
