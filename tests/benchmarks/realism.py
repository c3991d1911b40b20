"""How real rendered faces are: the same networks trained on rendered and on as many real faces, tested on real ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ofhkit.config import load_config
from ofhkit.data.celeba.prepare import resolve_data
from ofhkit.data.sampler import in_batches
from ofhkit.evaluation.evaluate import evaluate
from ofhkit.evaluation.pipelines import Pipeline, load_model
from ofhkit.evaluation.scoring import QUICK, STANDARD
from ofhkit.functional.geometry import nrmse
from ofhkit.ops import device_name
from ofhkit.registry import DATASETS, DEGRADATIONS, PRIORS
from ofhkit.runtime.devices import device_of, pick_device
from ofhkit.training.curriculum import WEIGHTS, Options, run_curriculum
from ofhkit.zoo.weights import load_strictly, load_weights

__all__ = ["measure_realism", "realism_table"]

_INNER = torch.arange(68) >= 27  # nose, eyes, mouth: defined alike by all labellers; jaw and brows are not


def measure_realism(
    config_file: str | Path,
    data_root: str | Path,
    options: Options,
    cfg_options: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Train ``config_file`` on its rendered faces and on as many real ones; score both on the real test split.

    Args:
        config_file: of a method with a landmark stage, on SyntheticFaces.
        data_root: real faces: a pack, or a raw CelebA folder.

    Returns:
        One row a training set: ``trained_on``, ``faces``, ``PSNR``, ``SSIM`` and the landmark network's error in
        percent of the outer eye distance over all 68 points (``NRMSE``), over nose, eyes and mouth
        (``NRMSE_inner``), and over all after each point's mean offset on real validation faces is taken off
        (``NRMSE_aligned``: what is left when labellers agree where a point is). The first row, ``mean shape``, is the
        error of answering with the mean of the real training faces' landmarks.
    """
    stem, device = Path(config_file).stem, pick_device(options.device)
    rendered = load_config(config_file, cfg_options)
    real = load_config(config_file, cfg_options)
    resolve_data(real, data_root)
    real.data.dataset["limit"] = len(DATASETS.build(rendered.data.dataset, split="train"))
    tests = {split: DATASETS.build({**real.data.dataset, "limit": None}, split=split) for split in ("val", "test")}
    rows: list[dict[str, Any]] = [_mean_shape(DATASETS.build(real.data.dataset, split="train"), tests)]
    for source, config in (("rendered", rendered), ("real", real)):
        model = load_model(run_curriculum(config, f"{stem}_{source}", options), device)
        pipeline, degrade = Pipeline(source, stem, model, config), DEGRADATIONS.build(real.data.degradation).to(device)
        scores = evaluate(pipeline.predict, degrade, tests["test"], [STANDARD[name] for name in QUICK]).means
        network = PRIORS.build(config.model.landmark_prior)
        mark = model.info["fingerprints"]["landmark_prior"]
        weights = Path(options.work_dir) / "shared" / f"landmarks-{mark}" / WEIGHTS
        load_strictly(network, load_weights(weights)[0], str(weights))
        predict = _predictor(network.to(device).eval())
        row = {"trained_on": source, "faces": model.info["data"]["num_train"], **landmark_errors(predict, tests)}
        rows.append(row | {name: scores[name] for name in ("PSNR", "SSIM")})
    where = f"{len(tests['test']):,} test faces of {tests['test'].metainfo['name']}"
    return [row | {"tested_on": where} for row in rows]


def _predictor(network: torch.nn.Module):
    device = device_of(network)

    @torch.no_grad()
    def predict(hr: Tensor) -> Tensor:
        return network(hr.to(device).float() / 255).cpu()

    return predict


def _mean_shape(train: Any, tests: Mapping[str, Any]) -> dict[str, Any]:
    mean = torch.from_numpy(np.mean(train.landmarks[train.rows], 0)).float()
    row = {"trained_on": "mean shape", "faces": len(train)}
    return row | landmark_errors(lambda hr: mean.expand(len(hr), -1, -1), tests)


def landmark_errors(predict: Any, tests: Mapping[str, Any]) -> dict[str, float]:
    predicted, truth = {}, {}
    for split, faces in tests.items():
        batches = list(in_batches(faces, 256))
        predicted[split] = torch.cat([predict(b["hr"]) for b in batches])
        truth[split] = torch.cat([b["landmarks"] for b in batches])
    offset = (predicted["val"] - truth["val"]).mean(0)
    pred, true = predicted["test"], truth["test"]
    return {
        "NRMSE": float(nrmse(pred, true).mean()),
        "NRMSE_inner": float(nrmse(pred, true, selected=_INNER.expand(len(pred), -1)).mean()),
        "NRMSE_aligned": float(nrmse(pred - offset, true).mean()),
    }


def realism_table(rows: list[dict[str, Any]], config_file: str | Path, options: Options) -> str:
    """The rows as Markdown, with what they were measured on underneath."""
    names = ("NRMSE", "NRMSE_inner", "NRMSE_aligned", "PSNR", "SSIM")
    digits = {"PSNR": 2, "SSIM": 4}
    lines = ["| trained on | faces | " + " | ".join(names) + " |", "|---|---:|" + "---:|" * len(names)]
    for row in rows:
        cells = [f"{row[name]:.{digits.get(name, 2)}f}" if name in row else "" for name in names]
        lines.append(f"| {row['trained_on']} | {row['faces']:,} | " + " | ".join(cells) + " |")
    device = device_name(pick_device(options.device))
    footer = f"{Path(config_file).name} at budget {options.budget:g}, scored on {rows[0]['tested_on']}; {device}."
    return "\n".join([*lines, "", footer]) + "\n"
