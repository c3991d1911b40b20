"""The rows of a comparison: finished pipelines, loaded strictly, and baselines that need no configuration.

Pipelines of different data or degradations are refused: they do not belong in one table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mmengine import Config
from torch import Tensor, nn

from ofhkit.config import from_json, load_config
from ofhkit.config.load import request_custom_imports
from ofhkit.config.settings import Evaluation
from ofhkit.data.celeba.prepare import point_data
from ofhkit.data.sampler import fetch
from ofhkit.errors import OfhkitError
from ofhkit.models.inpainters import GaussianInpainter
from ofhkit.models.pipeline import FaceHallucinator
from ofhkit.registry import DATASETS, HALLUCINATORS, UPSAMPLERS
from ofhkit.runtime.devices import device_of
from ofhkit.runtime.progress import log
from ofhkit.zoo import find_weights, load_model, zoo
from ofhkit.zoo.runs import CONFIG, KEPT, find_run, finished_runs
from ofhkit.zoo.weights import MODEL

PAPER_ORDER = (
    "mean face", "Telea+bicubic", "IN+bicubic", "Gaussian+bicubic", "IN+linear", "Gaussian", "IN+Ma", "IN+VDSR",
    "IN+FSRCNN", "IN+URDGN", "OFHNet",
)  # fmt: skip


@dataclass(frozen=True)
class Pipeline:
    """A pipeline that can be scored.

    Attributes:
        method: the row's name.
        name: of its configuration; for a row without one, how it was made.
        model: in eval mode.
        config: the configuration it was trained with.
        sha256: of its weights file; empty for a row without one.
    """

    method: str
    name: str
    model: FaceHallucinator
    config: Any
    sha256: str = ""

    @property
    def budget(self) -> float:
        """Factor on the training iterations; 0 for what is not trained."""
        return float(getattr(self.model, "info", {}).get("budget", 0.0))

    def predict(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Hallucinate a degraded batch: ``completed`` and ``sr``."""
        return self.model.predict(batch["lr"], batch["mask"])


def find_pipelines(
    configs: Sequence[str | Path],
    work_dir: Path,
    device: str,
    checkpoint: Path | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    data_root: str | Path | None = None,
) -> list[Pipeline]:
    """Load each configuration's finished pipeline (all under ``work_dir`` if none is named), in the paper's order.

    Args:
        configs: configuration files, folders of finished runs, or releases: names of the zoo, safetensors files.
        checkpoint: this file instead of the finished run of the one configuration.
        cfg_options: of a run that was trained with them, where there is none without.
        data_root: likewise.

    Raises:
        OfhkitError: lists every configuration that is not trained, with the command that trains it.
    """
    released = [c for c in configs if str(c) in zoo() or Path(c).suffix == ".safetensors"]
    request_custom_imports(c for c in configs if c not in released)
    if checkpoint is not None:
        if len(configs) != 1:
            raise OfhkitError("--checkpoint goes with exactly one CONFIG")
        named = Path(configs[0])
        config = from_json(named / CONFIG) if named.is_dir() else load_config(named, cfg_options)
        found = [_load(Path(checkpoint), named.stem, config, device)]
    elif configs:
        found = [_load_release(c, data_root, device) for c in released]
        if others := [c for c in configs if c not in released]:
            found += [_load_run(f, device) for f in _folders(others, Path(work_dir), cfg_options, data_root)]
    else:
        patterns = (f"*/{MODEL}", f"*/{KEPT.format('*')}/{MODEL}")
        folders = [path.parent for pattern in patterns for path in sorted(Path(work_dir).glob(pattern))]
        if not folders:
            raise OfhkitError(f"nothing is trained under {work_dir}; train with ofhkit train CONFIG")
        found = [_load_run(folder, device) for folder in folders]
    ranks = {method: i for i, method in enumerate(PAPER_ORDER)}
    return named_apart(sorted(found, key=lambda p: ranks.get(p.method, len(ranks))))


def _folders(
    configs: Sequence[str | Path], work_dir: Path, options: Mapping[str, Any] | None, data_root: str | Path | None
) -> list[Path]:
    """The run that each configuration, or each folder, means."""
    folders, untrained = [], []
    for name in map(Path, configs):
        if name.is_dir():
            if not (name / MODEL).is_file():
                raise OfhkitError(f"{name} holds no finished run (no {MODEL}); name one of ofhkit train, or a CONFIG")
            folders.append(name)
            continue
        plain, trained_with = load_config(name), load_config(name, options)
        point_data(trained_with, data_root)
        if "upsampler" not in plain.model:
            log.info(f"{name} trains no method and has no row")
        elif folder := find_run(plain, name.stem, work_dir) or find_run(trained_with, name.stem, work_dir):
            folders.append(folder)
        elif len(others := finished_runs(name.stem, work_dir)) == 1:
            log.info(f"{name}: there is no run of it as it stands; its one finished run is scored, {others[0].name}")
            folders.append(others[0])
        else:
            untrained.append(name)
    if untrained:
        commands = "\n".join(f"  ofhkit train {c} --work-dir {work_dir}" for c in untrained)
        others = [folder for c in untrained for folder in finished_runs(c.stem, work_dir)]
        hint = f"\nor name the folder of a run that differs: {', '.join(map(str, others))}" if others else ""
        raise OfhkitError(
            f"not trained under {work_dir}: {', '.join(map(str, untrained))}; train with\n{commands}{hint}"
        )
    if not folders:
        raise OfhkitError(f"{', '.join(map(str, configs))} describes no method: there is nothing to compare")
    return folders


def _load_run(folder: Path, device: str) -> Pipeline:
    name = f"{folder.parent.name}/{folder.name}" if _is_kept(folder) else folder.resolve().name
    return _load(folder / MODEL, name, from_json(folder / CONFIG), device)


def _load_release(name: str | Path, data_root: str | Path | None, device: str) -> Pipeline:
    """A file without a configuration beside it, for the paper's protocol on a pack."""
    degradation = dict(type="Degradation", occluder=dict(type="RandomRectangle"))
    dataset = dict(type="PackedFaces", root=str(data_root or "data/celeba"))
    settings = dict(data=dict(dataset=dataset, degradation=degradation), evaluation=asdict(Evaluation(metrics={})))
    pipeline = _load(find_weights(name), Path(name).stem, Config(settings), device)
    pipeline.config.model = pipeline.model.info["model"]
    return pipeline


def _is_kept(folder: str | Path) -> bool:
    """Whether it is what an earlier training left: ``before-N``."""
    return Path(folder).match(KEPT.format("*"))


def _load(file: Path, name: str, config: Any, device: str) -> Pipeline:
    try:
        model = load_model(file, device)
    except OfhkitError as error:
        which = f"{file}: " if error.path is None else ""
        imports = config.get("custom_imports")  # a stored configuration is data: it imports nothing by itself
        plugin = f". It was trained with a plugin: --plugins {','.join(imports)}" if imports else ""
        raise OfhkitError(f"{which}{error}{plugin}") from None
    return Pipeline(model.info["method"], name, model, config, hashlib.sha256(file.read_bytes()).hexdigest())


def named_apart(pipelines: Sequence[Pipeline]) -> list[Pipeline]:
    """Add the run's name to methods that occur more than once, as in an ablation, and to those of earlier trainings."""
    methods = [p.method for p in pipelines if not _is_kept(p.name)]
    return [
        replace(p, method=f"{p.method} ({p.name})") if _is_kept(p.name) or methods.count(p.method) > 1 else p
        for p in pipelines
    ]


def with_flips(pipeline: Pipeline) -> Pipeline:
    """The same pipeline with flips at test time, which its row's name says."""
    pipeline.model.flips = True
    return replace(pipeline, method=f"{pipeline.method}, flips")


def check_comparable(pipelines: Sequence[Pipeline]) -> None:
    """Refuse rows of different protocols: trained on other data, or for another degradation.

    Raises:
        OfhkitError: names two that differ, in what, and what to do.
    """
    first = pipelines[0]
    for other in pipelines[1:]:
        if other.config.data.degradation != first.config.data.degradation:
            raise OfhkitError(
                f"{other.name} and {first.name} were trained for different degradations (data.degradation): "
                "their numbers do not belong in one table; name configurations that share one"
            )
        hashes = [(p.model.info.get("data") or {}).get("hash") for p in (first, other)]
        if None not in hashes and hashes[0] != hashes[1]:
            raise OfhkitError(
                f"{other.name} and {first.name} were trained on different faces (data hashes {hashes[1][:12]} and "
                f"{hashes[0][:12]}): their numbers do not belong in one table; name configurations that share a set"
            )


MEAN_FACE = "mean face"
_FACES = 4096  # of which the mean is taken, spread evenly over the training split
_BATCH = 256


class LeaveHole(nn.Module):
    """The inpainter that does nothing: the hole stays as it is."""

    def forward(self, lr: Tensor, mask: Tensor) -> Tensor:
        """Return ``lr`` (N, 3, H, W)."""
        return lr


def with_baselines(pipelines: Sequence[Pipeline]) -> tuple[list[Pipeline], list[str]]:
    """Put the mean face, Telea + bicubic and, for each kind of inpainter among them, inpainter + bicubic before others.

    What is there already is not added again.

    Returns:
        The rows, and a note where the mean face is left out because there are no training faces.
    """
    there = {p.method for p in pipelines}
    like = pipelines[0]
    added, notes = [], []
    if MEAN_FACE not in there:
        try:
            added.append(_assemble(like, MEAN_FACE, "mean of the training faces", LeaveHole(), _mean_face(like.config)))
        except OfhkitError as error:
            notes.append(f"no row for the mean face: {error}")
    bicubic = dict(type="Bicubic")
    if "Telea+bicubic" not in there:
        added.append(_assemble(like, "Telea+bicubic", "no training", dict(type="Telea"), bicubic))
    for kind in ("IN", "Gaussian"):
        like = next((p for p in pipelines if _kind(p) == kind), None)
        if like is not None and not any(method.startswith(f"{kind}+bicubic") for method in there):
            added.append(_assemble(like, f"{kind}+bicubic", like.name, like.model.inpainter, bicubic, like.model.info))
    return [*added, *pipelines], notes


def _kind(pipeline: Pipeline) -> str:
    """What a row's name calls the inpainter: the paper's IN, or the face prior."""
    return "Gaussian" if isinstance(pipeline.model.inpainter, GaussianInpainter) else "IN"


def _assemble(
    like: Pipeline, method: str, name: str, inpainter: Any, upsampler: Any, info: Mapping[str, Any] | None = None
) -> Pipeline:
    """A row without a weights file of its own: its ``sha256`` is empty, whoever's inpainter (with ``info``) it has."""
    model = HALLUCINATORS.build(dict(type="FaceHallucinator", inpainter=inpainter, upsampler=upsampler))
    model.info = {"budget": 0.0, **(info or {}), "method": method}
    return Pipeline(method, name, model.to(device_of(like.model)).eval(), like.config)


def _mean_face(config: Any) -> nn.Module:
    train = DATASETS.build(config.data.dataset, split="train")
    chosen = [i * len(train) // min(_FACES, len(train)) for i in range(min(_FACES, len(train)))]
    mean = None
    for start in range(0, len(chosen), _BATCH):
        hr = fetch(train, chosen[start : start + _BATCH])["hr"].float() / 255
        size = hr.shape[-1] // 8
        mean = mean or UPSAMPLERS.build(dict(type="MeanFace", image_size=size))
        mean.partial_fit(hr.new_zeros(len(hr), 3, size, size), hr)
    if mean is None:
        raise OfhkitError("the training split is empty")
    mean.finalise()
    return mean
