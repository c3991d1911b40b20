"""Finished pipelines: found, loaded strictly, and refused where they do not belong in one table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ofhkit.config import from_json, load_config
from ofhkit.config.load import request_custom_imports
from ofhkit.data.celeba.prepare import find_or_prepare
from ofhkit.errors import OfhkitError
from ofhkit.models.hallucinators import BaseHallucinator
from ofhkit.runtime.distributed import once
from ofhkit.runtime.progress import say
from ofhkit.training.curriculum import MODEL
from ofhkit.zoo import load_model

__all__ = ["Pipeline", "check_comparable", "find_pipelines", "load_model", "named_apart", "resolve_data"]

PAPER_ORDER = ("mean face", "Telea+bicubic", "IN+bicubic", "IN+Ma", "IN+VDSR", "IN+FSRCNN", "IN+URDGN", "OFHNet")


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
    model: BaseHallucinator
    config: Any
    sha256: str = ""

    @property
    def budget(self) -> float:
        """Factor on the training iterations; 0 for what is not trained."""
        return float(getattr(self.model, "info", {}).get("budget", 0.0))


def resolve_data(config: Any, data_root: str | Path | None) -> None:
    """Point the data set at a pack, preparing one where the root is a raw CelebA folder."""
    dataset = config.data.dataset
    if data_root is not None:
        if "root" not in dataset:
            config.data.dataset = dataset = type(dataset)(type="PackedFaces")
        dataset["root"] = str(data_root)
    if "root" in dataset:
        dataset["root"] = once(lambda: str(find_or_prepare(dataset["root"], say=say)))


def find_pipelines(
    configs: Sequence[str | Path],
    work_dir: Path,
    device: str,
    checkpoint: Path | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> list[Pipeline]:
    """Load each configuration's finished pipeline (all under ``work_dir`` if none is named), in the paper's order.

    Args:
        checkpoint: this file instead of the finished run of the one configuration.
        cfg_options: for that one configuration.

    Raises:
        OfhkitError: lists every configuration that is not trained, with the command that trains it.
    """
    if checkpoint is not None:
        if len(configs) != 1:
            raise OfhkitError("--checkpoint goes with exactly one CONFIG")
        found = [_load(Path(checkpoint), Path(configs[0]).stem, load_config(configs[0], cfg_options), device)]
    else:
        folders = _folders(configs, Path(work_dir))
        found = [_load(folder / MODEL, folder.name, from_json(folder / "config.json"), device) for folder in folders]
    return named_apart(sorted(found, key=lambda p: _rank(p.method)))


def _folders(configs: Sequence[str | Path], work_dir: Path) -> list[Path]:
    if not configs:
        folders = sorted(path.parent for path in work_dir.glob(f"*/{MODEL}"))
        if not folders:
            raise OfhkitError(f"nothing is trained under {work_dir}; train with python tools/train.py CONFIG")
        return folders
    request_custom_imports(configs)
    methods = [c for c in configs if _is_method(c)]
    if not methods:
        raise OfhkitError(f"{', '.join(map(str, configs))} describes no method: there is nothing to compare")
    untrained = [c for c in methods if not (work_dir / Path(c).stem / MODEL).is_file()]
    if untrained:
        commands = "\n".join(f"  python tools/train.py {c} --work-dir {work_dir}" for c in untrained)
        raise OfhkitError(f"not trained under {work_dir}: {', '.join(map(str, untrained))}; train with\n{commands}")
    return [work_dir / Path(c).stem for c in methods]


def _is_method(config: str | Path) -> bool:
    """Whether a configuration describes a pipeline; the parser's, which ``configs/*`` matches too, does not."""
    is_method = "upsampler" in load_config(config).model
    if not is_method:
        say(f"{config} trains no method and has no row")
    return is_method


def _load(file: Path, name: str, config: Any, device: str) -> Pipeline:
    try:
        model = load_model(file, device)
    except OfhkitError as error:
        if imports := config.get("custom_imports"):  # a stored configuration is data: it imports nothing by itself
            raise OfhkitError(f"{error}. It was trained with a plugin: --plugins {','.join(imports)}") from None
        raise
    return Pipeline(model.info["method"], name, model, config, hashlib.sha256(file.read_bytes()).hexdigest())


def _rank(method: str) -> int:
    return PAPER_ORDER.index(method) if method in PAPER_ORDER else len(PAPER_ORDER)


def named_apart(pipelines: Sequence[Pipeline]) -> list[Pipeline]:
    """Add the configuration's name to methods that occur more than once, as in an ablation."""
    methods = [p.method for p in pipelines]
    return [replace(p, method=f"{p.method} ({p.name})") if methods.count(p.method) > 1 else p for p in pipelines]


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
