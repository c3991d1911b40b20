"""Scoring pipelines on the same faces: every metric, intervals, paired significance, and what a pipeline costs."""

from __future__ import annotations

import copy
import json
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.evaluation.evaluate import evaluate_all
from ofhkit.evaluation.pipelines import MEAN_FACE, Pipeline
from ofhkit.functional.statistics import bootstrap_interval, paired_p_value
from ofhkit.functional.task import HR_SIZE, LR_SIZE
from ofhkit.metrics import LRPSNR, PerImageMetric
from ofhkit.models.fitted import Fitted
from ofhkit.models.pipeline import FaceHallucinator, upsampler_inputs
from ofhkit.ops import set_implementation
from ofhkit.registry import METRICS, UPSAMPLERS, Registry
from ofhkit.runtime.devices import device_of
from ofhkit.runtime.distributed import on_main
from ofhkit.runtime.files import ASSETS
from ofhkit.runtime.progress import Progress

PARSER = "face_parser.safetensors"
QUICK = ("psnr", "ssim")
STANDARD = {
    "psnr": dict(type="PSNR"),
    "ssim": dict(type="SSIM"),
    "lpips": dict(type="LPIPS"),
    "identity": dict(type="Identity"),
    "nrmse": dict(type="NRMSE"),
    "iou": dict(type="ParsingIoU"),
    "lr_psnr": dict(type="LRPSNR"),
    "consistency": dict(type="Consistency"),
}
ALL = {**STANDARD, "vif": dict(type="VIF"), "kid": dict(type="KID")}
GROUPS = {"quick": QUICK, "standard": tuple(STANDARD), "all": tuple(ALL)}


class HoleArea(PerImageMetric):
    """Occluded pixels of the low-resolution face: for binning, no score."""

    name, decimals, higher_is_better = "hole_area", 0, None

    def measure(self, mask: Tensor) -> dict[str, Tensor]:
        return {"hole_area": mask.sum((1, 2, 3))}


@dataclass
class Scored:
    """A pipeline with its row and every image's values.

    Attributes:
        row: plain numbers and lists of them, as written to results.json.
        per_image: image index -> metric -> value.
    """

    pipeline: Pipeline
    row: dict[str, Any]
    per_image: dict[int, dict[str, float]] = field(repr=False)


def pick_metrics(
    configured: Mapping[str, Any], only: Sequence[str] | None = None, quick: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """Build the standard metrics and those of ``evaluation.metrics``, which also leaves one out (``lpips=None``).

    Args:
        only: names of those wanted, or of :data:`GROUPS` of them; None = the standard ones and the configured.
        quick: of the standard ones :data:`QUICK` only.

    Raises:
        OfhkitError: no metric of that name.
    """
    known = {**ALL, **configured}
    if only is None:
        only = (*(QUICK if quick else STANDARD), *configured)
    for name in only:
        if name not in known and name not in GROUPS:
            raise OfhkitError(f"--metrics: no metric {name!r}; {did_you_mean(name, [*known, *GROUPS])}")
    wanted = {metric for name in only for metric in GROUPS.get(name, (name,))}
    chosen = {name: metric for name, metric in known.items() if metric is not None and name in wanted}
    notes = []
    if chosen.get("iou") == STANDARD["iou"] and not (ASSETS / PARSER).is_file():
        del chosen["iou"]
        notes.append(f"no IoU: this copy of the package has no {PARSER} (ofhkit train configs/parser_synthetic.py)")
    return {name: METRICS.build(metric) for name, metric in chosen.items()}, notes


def score(
    pipelines: Sequence[Pipeline], dataset: Any, degradation: Any, metrics: Iterable[Any], batch_size: int, timing: bool
) -> list[Scored]:
    """Score pipelines on all faces of ``dataset``, batch by batch, and measure their cost.

    Raises:
        OfhkitError: no faces, or outputs that are no numbers.
    """
    bar = Progress(len(dataset), f"{len(pipelines)} methods: faces")
    metrics = [*metrics, HoleArea()]
    methods = [pipeline.predict for pipeline in pipelines]
    scores = evaluate_all(methods, degradation, dataset, metrics, batch_size, progress=bar.update)
    return [
        Scored(pipeline, _row(pipeline, s.means, degradation.size, timing), s.per_image)
        for pipeline, s in zip(pipelines, scores)
    ]


def _row(pipeline: Pipeline, means: Mapping[str, float], size: int, timing: bool) -> dict[str, Any]:
    model, means = pipeline.model, {name: value for name, value in means.items() if name != HoleArea.name}
    if pipeline.method == MEAN_FACE:  # it completes nothing
        means = {name: value for name, value in means.items() if name not in LRPSNR.titles()}
    row = {
        "method": pipeline.method,
        "config": pipeline.name,
        **means,
        "params": count_parameters(model),
        "gmacs": round(count_gmacs(model, size), 4),
    }
    if timing:
        row |= on_main(
            lambda: {"ms_per_image": milliseconds(model, 64, size), "ms_batch1": milliseconds(model, 1, size)}
        )
    row["budget"] = pipeline.budget
    if pipeline.sha256 and "core_hours" in model.info:
        row["core_hours"] = model.info["core_hours"]
    if pipeline.sha256:
        row["checkpoint_sha256"] = pipeline.sha256
    return row


def add_statistics(scored: Sequence[Scored], metrics: Iterable[PerImageMetric]) -> None:
    """Add ``PSNR_ci95`` of every headline metric, and ``PSNR_p``: paired, against the best row (which has none)."""
    for metric in metrics:
        name, having = metric.name, [s for s in scored if metric.name in s.row]
        if not metric.headline:
            continue
        for s in having:
            s.row[f"{name}_ci95"] = list(bootstrap_interval(_values(s, name)))
        if len(having) > 1 and metric.higher_is_better is not None:
            best = (max if metric.higher_is_better else min)(having, key=lambda s: s.row[name])
            for s in having:
                if s is not best:
                    s.row[f"{name}_p"] = paired_p_value(_values(s, name), _values(best, name))


def seed_rows(scored: Sequence[Scored], metrics: Iterable[PerImageMetric]) -> list[dict[str, Any]]:
    """One row for each method whose runs differ in their seed only: means, and ``PSNR_sd`` of headline metrics."""
    alike: dict[str, list[Scored]] = {}
    for s in scored:
        if s.pipeline.sha256 and "runtime" in s.pipeline.config:  # a release's configuration does not say how it learnt
            said = {**s.pipeline.config, "runtime": {**s.pipeline.config["runtime"], "seed": None}}
            alike.setdefault(json.dumps([said, s.pipeline.budget], sort_keys=True, default=str), []).append(s)
    rows, headlines = [], [metric.name for metric in metrics if metric.headline]
    for runs in alike.values():
        if len({s.pipeline.config["runtime"]["seed"] for s in runs}) < max(len(runs), 2):
            continue
        method = f"{runs[0].pipeline.model.info['method']}, mean of {len(runs)} seeds"
        numbers = [k for k, v in runs[0].row.items() if isinstance(v, int | float) and not k.endswith("_p")]
        shared = [key for key in numbers if all(key in s.row for s in runs)]
        row = {"method": method, "config": ", ".join(s.pipeline.name for s in runs)}
        row |= {key: statistics.fmean(s.row[key] for s in runs) for key in shared}
        row |= {f"{key}_sd": statistics.stdev(s.row[key] for s in runs) for key in headlines if key in shared}
        rows.append(row)
    return rows


def _values(scored: Scored, name: str) -> Tensor:
    return torch.tensor([scored.per_image[i][name] for i in sorted(scored.per_image)], dtype=torch.float64).numpy()


_SHAPES = {
    "hr": (1, 3, HR_SIZE, HR_SIZE),
    "lr": (1, 3, LR_SIZE, LR_SIZE),
    "completed": (1, 3, LR_SIZE, LR_SIZE),
    "mask": (1, 1, LR_SIZE, LR_SIZE),
}
_LEAST_SECONDS, _LEAST_RUNS, _MOST_RUNS = 0.5, 3, 50


def count_parameters(model: nn.Module) -> int:
    """Numbers that training or fitting has determined: parameters, and the saved buffers of what is fitted.

    >>> count_parameters(nn.Linear(3, 2))
    8
    """
    fitted = [m for m in model.modules() if hasattr(m, "num_faces")]
    buffers = {b.data_ptr(): b for m in fitted for b in m.state_dict().values() if b.is_floating_point()}
    return sum(p.numel() for p in model.parameters()) + sum(b.numel() for b in buffers.values())


@torch.no_grad()
def count_gmacs(model: FaceHallucinator, size: int = LR_SIZE) -> float:
    """Billions of multiplications (convolutions and matrix products) a face, of the whole pipeline, as published.

    Faster ways to compute the same function (:mod:`ofhkit.ops`) are not credited here but in the milliseconds.
    """
    plain = set_implementation(copy.deepcopy(model), "plain")
    with FlopCounterMode(display=False) as counter:
        plain.predict(*_question(model, 1, size))
    return counter.get_total_flops() / 2 / 1e9


@torch.no_grad()
def network_gmacs(role: Registry, network: nn.Module) -> float:
    """The same of one network of a role, for one face; 0 where it is not fitted, or no input is known to the role."""
    inputs = upsampler_inputs(network) if role is UPSAMPLERS else role.inputs
    if not inputs or (isinstance(network, Fitted) and not network.num_faces):
        return 0.0
    with FlopCounterMode(display=False) as counter:
        network.eval()(*(torch.zeros(_SHAPES[key]) for key in inputs))
    return counter.get_total_flops() / 2 / 1e9


@torch.no_grad()
def milliseconds(model: FaceHallucinator, batch_size: int, size: int = LR_SIZE) -> float:
    """Median time a face of :meth:`predict` at this batch size, on the model's device."""
    question = _question(model, batch_size, size)
    wait = torch.cuda.synchronize if question[0].is_cuda else lambda: None
    model.predict(*question)
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < _LEAST_RUNS or (time.perf_counter() - began < _LEAST_SECONDS and len(times) < _MOST_RUNS):
        wait()
        start = time.perf_counter()
        model.predict(*question)
        wait()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times) / batch_size


def _question(model: nn.Module, count: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Faces of noise with a centred hole, on the model's device."""
    device = device_of(model)
    mask = torch.zeros(count, 1, size, size, device=device)
    mask[..., size // 4 : 3 * size // 4, size // 4 : 3 * size // 4] = 1
    lr = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    return lr * (1 - mask), mask
