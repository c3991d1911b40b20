"""The comparison as a whole: what is scored, on what, and what is written."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from ofhkit.config import override
from ofhkit.data.celeba.prepare import resolve_data
from ofhkit.data.sampler import first
from ofhkit.errors import OfhkitError, printable
from ofhkit.evaluation.figures import draw_landmarks, make_gallery
from ofhkit.evaluation.groups import group_table, group_text, read_groups
from ofhkit.evaluation.pipelines import (
    Pipeline,
    check_comparable,
    find_pipelines,
    with_baselines,
    with_flips,
)
from ofhkit.evaluation.protocols import PROTOCOLS
from ofhkit.evaluation.report import write_report
from ofhkit.evaluation.scoring import Scored, add_statistics, pick_metrics, score, seed_rows
from ofhkit.evaluation.sweep import run_sweep, write_sweep
from ofhkit.evaluation.tables import columns_of, drawn_table, tables_of, write_tables
from ofhkit.functional.images import face_grid, write_png
from ofhkit.ops import device_name
from ofhkit.registry import DATASETS, HOOKS
from ofhkit.runtime.devices import pick_device
from ofhkit.runtime.distributed import is_main, main_process_first
from ofhkit.runtime.files import atomic_write, csv_cell
from ofhkit.runtime.progress import log, worth_opening
from ofhkit.runtime.version import __version__

__all__ = ["compare"]


def compare(
    configs: Sequence[str | Path] = (),
    work_dir: Path = Path("work_dirs"),
    data_root: str | Path | None = None,
    out: Path = Path("outputs"),
    checkpoint: Path | None = None,
    limit: int | None = None,
    device: str = "auto",
    cfg_options: Mapping[str, Any] | None = None,
    metrics: Sequence[str] | None = None,
    sweeps: Sequence[str] = (),
    sweep_limit: int = 200,
    faces: Sequence[int] | None = None,
    flips: bool = False,
    alone: bool = False,
    quick: bool = False,
    protocol: str = "paper",
    groups: Path | None = None,
) -> list[dict[str, Any]]:
    """Score finished pipelines on the test split and write tables, per-image values and figures into ``out``.

    The processes of a job share the faces; the first one writes.

    Args:
        configs: configuration files, or folders of finished runs; none = everything finished under ``work_dir``.
        checkpoint: score this file instead of the newest finished run of the one configuration.
        limit: only the first so many test faces.
        cfg_options: overrides of the data and evaluation settings.
        metrics: names of the metrics wanted; None = all.
        sweeps: ``size`` and ``position``: score one hole after another.
        sweep_limit: faces for that.
        faces: positions of the test faces to show; None = the first ones.
        flips: each method with the mean of both mirror images (:class:`ofhkit.models.pipeline.FaceHallucinator`).
        alone: without the rows that need no training of their own (mean face, Telea and each inpainter with bicubic).
        quick: PSNR, SSIM and the configuration's own metrics, no timing, no report: what training prints at its end.
        groups: a CSV: name of a face -> its group (:mod:`ofhkit.evaluation.groups`).
        protocol: of :data:`ofhkit.evaluation.protocols.PROTOCOLS`.

    Returns:
        One row a method: ``method``, ``config`` and the metrics as plain numbers.

    Raises:
        OfhkitError: untrained configurations, mismatching weights, pipelines of different data or degradation.
    """
    out = Path(out)
    pipelines = find_pipelines(configs, Path(work_dir), device, checkpoint, cfg_options, data_root)
    check_comparable(pipelines)
    if flips:
        pipelines = [with_flips(p) for p in pipelines]
    config = pipelines[0].config
    _override(config, cfg_options)
    resolve_data(config, data_root)
    rule = PROTOCOLS[protocol]
    if sweeps and not rule.sweeps:
        raise OfhkitError(f"--sweep goes over holes, and --protocol {protocol} has none: leave one of the two out")
    suite, notes = pick_metrics({**config.evaluation.metrics, **rule.metrics}, metrics, quick)
    wanted = {} if quick else config.evaluation.get("sections", {})
    sections = {title: HOOKS.build(section) for title, section in wanted.items() if section is not None}
    test = {**config.data.dataset, "split": "test", **({} if limit is None else {"limit": limit})}
    dataset = main_process_first(lambda: DATASETS.build(test))
    of_image = read_groups(groups, dataset) if groups else {}
    degradation = rule.degrade(config.data.degradation, pick_device(device))
    pipelines, missing = (pipelines, []) if alone else with_baselines(pipelines)
    for note in missing:
        log.info(note)
    notes += missing
    batch_size = config.evaluation.batch_size
    scored = score(pipelines, dataset, degradation, suite.values(), batch_size, timing=not quick)
    add_statistics(scored, suite.values())
    by_group = group_table(scored, of_image, suite.values()) if of_image else []
    rows = [*(s.row for s in scored), *seed_rows(scored, suite.values())]
    tables = tables_of(suite.values(), rows)
    said = describe(rule.said(config.data.degradation), dataset, suite, pipelines, pick_device(device), notes)
    gallery = make_gallery(scored, dataset, degradation, suite.values(), faces)
    subset = first(dataset, sweep_limit)
    swept = [run_sweep(k, scored, subset, config.data.degradation, pick_device(device), batch_size) for k in sweeps]
    if not is_main():
        return rows
    text = "\n".join(write_tables(out / name, rows, columns, said) for name, columns in tables.items())
    if by_group:
        atomic_write(out / "groups.md", in_groups := group_text(by_group, suite.values()))
        text += f"\n{in_groups}"
    atomic_write(out / "per_image.csv", per_image_csv(scored))
    write_png(out / "grid.png", face_grid(gallery[1], rows=gallery[0]))
    for sweep in swept:
        write_sweep(out, sweep)
    if not quick:
        landmarks = draw_landmarks(gallery)
        write_png(out / "landmarks.png", landmarks)
        write_report(out / "report.html", scored, rows, gallery, swept, landmarks, said, tables, sections)
    of_metrics = {n: asdict(c) for metric in suite.values() for n, c in columns_of(metric).items()}
    more = {"sweeps": {s.kind: s.rows for s in swept}, "groups": by_group}
    results = {"protocol": said, "metrics": of_metrics, "rows": rows, **{key: v for key, v in more.items() if v}}
    atomic_write(out / "results.json", json.dumps(results, indent=2, allow_nan=False))
    _show(text, drawn_table(rows, [c for columns in tables.values() for c in columns], said))
    if not quick:
        worth_opening(out / "report.html", out / "grid.png", out / "table1.md")
    return rows


def _show(markdown: str, table: Table) -> None:
    """Print the tables: drawn on a terminal, as Markdown into a file or a pipe."""
    if sys.stdout.isatty():
        Console().print(table)
    else:
        print(printable(markdown))


def _override(config: Any, cfg_options: Mapping[str, Any] | None) -> None:
    for key in cfg_options or ():
        if key.partition(".")[0] not in ("data", "evaluation"):
            raise OfhkitError(
                f"--cfg-options {key}: ofhkit test scores what was trained; only data and evaluation change"
            )
    override(config, cfg_options)


def per_image_csv(scored: Sequence[Scored]) -> str:
    """One line a method and face: its index, the area of its hole in LR pixels, and every metric."""
    names = dict.fromkeys(name for s in scored for values in s.per_image.values() for name in values)
    text = io.StringIO()
    writer = csv.DictWriter(text, ["method", "index", *names], lineterminator="\n")
    writer.writeheader()
    for s in scored:
        method = csv_cell(s.row["method"])
        writer.writerows({"method": method, "index": i, **s.per_image[i]} for i in sorted(s.per_image))
    return text.getvalue()


def describe(
    rule: Mapping[str, Any],
    dataset: Any,
    suite: Mapping[str, Any],
    pipelines: Sequence[Pipeline],
    device: torch.device,
    notes: Sequence[str],
) -> dict[str, Any]:
    """The protocol that stands under every table."""
    trained = [p for p in pipelines if p.sha256]
    inpainters = {json.dumps((p.model.info.get("fingerprints") or {}).get("inpainter")) for p in trained}
    protocol = {
        "data": dataset.metainfo["name"],
        "data_hash": dataset.metainfo["data_hash"],
        "split": "test",
        "num_images": len(dataset),
        **rule,
    }
    if "lpips" in suite:
        protocol["lpips"] = "AlexNet 0.1"
    if "nrmse" in suite:
        same = [p.method for p in trained if _uses(p.config.model, "FaceAPI68")]
        protocol["nrmse"] = "percent of the outer eye distance, both faces read by the package's 68-point network, " + (
            f"which the loss of {', '.join(same)} used too" if same else "which no loss has used"
        )
    if "iou" in suite:
        protocol["iou"] = "mean over the classes in either face, both read by the package's parser"
    protocol |= {
        "device": device_name(device),
        "software": f"ofhkit {__version__}, torch {torch.__version__}",
        "inpainter": "one for all" if len(inpainters) == 1 else f"{len(inpainters)} different ones",
        "checkpoints": {p.method: p.sha256[:12] for p in trained},
    }
    return protocol | ({"notes": list(notes)} if notes else {})


def _uses(model: Mapping[str, Any], network: str) -> bool:
    return (model.get("landmark_prior") or {}).get("type") == network
