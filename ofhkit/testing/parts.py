"""The promises of the other roles: losses, holes, data, metrics, hooks, pipelines, stages."""

import copy
import inspect
import json
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor

from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.evaluation.report import run_section
from ofhkit.registry import DEGRADATIONS
from ofhkit.testing.networks import KEYS, ContractError, faces, require, same, sample_batch
from ofhkit.training.stage import Context


def _read_landmarks(hr: Tensor) -> Tensor:
    return hr.mean((1, 2))[:, :68, None] * torch.tensor([60.0, 70.0])


def check_loss(term: Any) -> None:
    """Keywords are batch keys; an unweighted finite scalar with a gradient."""
    name = type(term).__name__
    batch: dict[str, Any] = {**sample_batch(), "landmark_prior": _read_landmarks}
    needs = list(inspect.signature(term.forward).parameters)
    for key in needs:
        require(key in KEYS, f"{name}: forward takes {key!r}, which is no batch key; {did_you_mean(key, KEYS)}")
    made = (
        "sr",
        "lr_filled",
        "fake_logits",
        "real_logits",
        "predicted_landmarks",
        "parsing_logits",
        "coarse",
        "heatmaps",
    )
    given = {key: batch[key].clone().requires_grad_() if key in made else batch[key] for key in needs}
    value = term(**given)
    require(value.shape == () and value.isfinite(), f"{name}: returns {value}, expected a finite scalar")
    value.backward()
    require(any(given[k].grad is not None and given[k].grad.any() for k in needs if k in made), f"{name}: no gradient")
    require(isinstance(getattr(term, "weight", None), float), f"{name}: the attribute `weight` is not a float")
    term.weight = 2 * term.weight + 1
    require(same(term(**given), value, 1e-6), f"{name}: forward multiplies by `weight`; that is the caller's part")


def _check_occluder(occluder: Callable) -> None:
    """(keys, seed, size) -> masks (N, 1, size, size) of 0 and 1, each a function of its key and the seed alone."""
    name, keys = type(occluder).__name__, torch.arange(32)
    masks = occluder(keys, 3, 16)
    require(masks.shape == (32, 1, 16, 16), f"{name}: masks are {tuple(masks.shape)}, expected (32, 1, 16, 16)")
    require(masks.is_floating_point() and ((masks == 0) | (masks == 1)).all(), f"{name}: a mask is a float, 0 or 1")
    require(masks.any() and not masks.all(), f"{name}: everything is occluded, or nothing is")
    require(torch.equal(masks, occluder(keys, 3, 16)), f"{name}: the same keys and seed give other masks")
    require(torch.equal(masks[5:7], occluder(keys[5:7], 3, 16)), f"{name}: a mask depends on the other keys")


def _check_paint(paint: Callable) -> None:
    """(keys, seed, hr) -> pictures like hr in [0, 1], the same each time."""
    name, keys, hr = type(paint).__name__, torch.arange(4), sample_batch(4)["hr"]
    painted = paint(keys, 3, hr)
    require(painted.shape == hr.shape, f"{name}: pictures are {tuple(painted.shape)}, expected {tuple(hr.shape)}")
    require(painted.min() >= 0 and painted.max() <= 1, f"{name}: a picture is not in [0, 1]")
    require(torch.equal(painted, paint(keys, 3, hr)), f"{name}: the same keys and seed give other pictures")


def check_degradation(degradation: Callable) -> None:
    """uint8 faces -> ``hr, lr_gt, mask, lr`` in [0, 1], the same each time.

    What has no ``forward`` is an occluder, or a paint where its last argument is called ``hr``.
    """
    if not hasattr(degradation, "forward"):
        paints = "hr" in inspect.signature(degradation).parameters
        _check_paint(degradation) if paints else _check_occluder(degradation)
        return
    name = type(degradation).__name__
    for training in (False, True):
        batch, again = (degradation(copy.deepcopy(faces()), training=training) for _ in range(2))
        for key, side in (("hr", 128), ("lr_gt", 16), ("lr", 16), ("mask", 16)):
            value = batch[key]
            require(value.shape[-2:] == (side, side), f"{name}: {key} is {tuple(value.shape)}")
            require(value.min() >= 0 and value.max() <= 1, f"{name}: {key} is not in [0, 1]")
            require(torch.equal(value, again[key]), f"{name}: {key} differs between two calls")
        known = (1 - batch["mask"]).expand_as(batch["lr"]).bool()
        require(same(batch["lr"][known], batch["lr_gt"][known]), f"{name}: known pixels of lr differ from lr_gt's")


def check_dataset(dataset: Any) -> None:
    """Items with ``hr`` (3, 128, 128) uint8 and ``index``, batches that equal them, ``metainfo``, picklable."""
    name = type(dataset).__name__
    require(len(dataset) > 0, f"{name}: is empty")
    for key in ("name", "data_hash"):
        require(isinstance(dataset.metainfo.get(key), str), f"{name}: metainfo has no text {key!r}")
    chosen = range(min(2, len(dataset)))
    items = [dataset[i] for i in chosen]
    hr = torch.as_tensor(items[0]["hr"])
    require(hr.dtype == torch.uint8 and hr.shape == (3, 128, 128), f"{name}: hr is {hr.dtype} {tuple(hr.shape)}")
    together = dataset.__getitems__(list(chosen)) if hasattr(dataset, "__getitems__") else None
    for i, other in ((0, dataset[0]), (0, pickle.loads(pickle.dumps(dataset))[0])):
        for key, value in items[i].items():
            require(_equal(value, other[key]), f"{name}: {key} differs between two readings (or after pickling)")
    if isinstance(together, dict):
        for key in items[0]:
            require(all(_equal(items[i][key], together[key][i]) for i in chosen), f"{name}: __getitems__: other {key}")


def _equal(a: Any, b: Any) -> bool:
    return torch.equal(torch.as_tensor(a), torch.as_tensor(b))


def check_metric(metric: Any) -> None:
    """Finite numbers by name that do not depend on how the images were batched; every image's own in ``per_image``."""
    name, batch = type(metric).__name__, sample_batch(4)
    metric.process(None, [batch])
    whole = metric.evaluate(4)
    require(whole and all(isinstance(v, float) for v in whole.values()), f"{name}: {whole} are not numbers by name")
    require(set(metric.per_image) == {0, 1, 2, 3}, f"{name}: per_image has {sorted(metric.per_image)}, expected 0..3")
    for start in (0, 2):
        metric.process(None, [{key: value[start : start + 2] for key, value in batch.items()}])
    halves = metric.evaluate(4)
    near = all(abs(whole[key] - halves[key]) <= 1e-4 * max(1, abs(whole[key])) for key in whole)
    require(near, f"{name}: {whole} in one batch, {halves} in two")


def check_hook(hook: Any) -> None:
    """MMEngine's hook, whose methods take what the runner passes; or a section of the report: no ``Hook``."""
    if not isinstance(hook, Hook):
        _check_section(hook)
        return
    name = type(hook).__name__
    for method, base in inspect.getmembers(Hook, inspect.isfunction):
        expected, found = inspect.signature(base).parameters, inspect.signature(getattr(type(hook), method)).parameters
        missing = set(expected) - set(found) if not any(p.kind is p.VAR_KEYWORD for p in found.values()) else set()
        require(not missing, f"{name}.{method} does not take {sorted(missing)}")


def check_hallucinator(model: Any) -> None:
    """A pipeline pastes known pixels and stays in [0, 1]."""
    name = type(model).__name__
    batch = DEGRADATIONS.build(dict(type="Degradation"))(faces())
    lr, mask = batch["lr"], batch["mask"]
    with torch.no_grad():
        outputs = model.eval().predict(lr, mask)
        require(torch.equal(model(lr, mask), outputs["sr"]), f"{name}: forward and predict differ")
    known, sr = (mask == 0).expand_as(lr), outputs["sr"]
    require(torch.equal(outputs["completed"][known], lr[known]), f"{name}: known pixels do not pass unchanged")
    side = 16 * model.scale
    require(sr.shape == (len(lr), 3, side, side) and sr.min() >= 0 and sr.max() <= 1, f"{name}: sr {tuple(sr.shape)}")


def check_stage(stage: Any, model: Mapping[str, Any] | None = None) -> None:
    """Names what it trains; with a ``model``: learns from a batch, logs finite values, and predicts batch keys.

    Args:
        model: configuration of the components, as in ``model`` of a configuration file.
    """
    name = type(stage).__name__
    require(isinstance(stage.trains, str) and isinstance(stage.shared, bool), f"{name}: trains, shared")
    json.dumps({key: value for key, value in vars(stage).items() if not key.startswith("_")})
    if model is None or stage.main_only:
        return
    stage.build(Context({"model": model, "runtime": {"seed": 0}, "data": {}}, train=None))
    degrade = DEGRADATIONS.build(dict(type="Degradation"))
    optim = stage.optimizers(torch.device("cpu"), None)
    before = {key: value.clone() for key, value in stage.network.state_dict().items()}
    losses = stage.train().step(degrade(faces(), training=True), optim)
    good = all(v.isfinite().all() and not v.requires_grad for v in losses.values())
    require(losses and good, f"{name}: step returns {losses}, expected finite, detached tensors")
    after = stage.network.state_dict()
    require(any(not torch.equal(after[key], value) for key, value in before.items()), f"{name}: step changes no weight")
    with torch.no_grad():
        outputs = stage.eval().predict(degrade(faces()))
    require(set(outputs) <= set(KEYS), f"{name}: predict returns {sorted(outputs)}, which are not all batch keys")


def _check_section(section: Callable) -> None:
    """A section of report.html: parameters among ``rows, per_image, faces, protocol``; returns text or a picture."""
    batch = sample_batch()
    values = {i: {"PSNR": 20.0 + i} for i in range(2)}
    columns = {"lr": "lr", "completed": "completed", "A": "sr", "B": "sr", "hr": "hr"}
    content = {
        "rows": [{"method": name, "PSNR": 20.5, "params": 3} for name in ("A", "B")],
        "per_image": {"A": values, "B": values},
        "faces": {title: batch[key] for title, key in columns.items()},
        "protocol": {"data": "noise", "split": "test", "num_images": 2},
    }
    try:
        result = run_section(section, content)
    except OfhkitError as error:
        raise ContractError(str(error)) from None
    require(len(result) > 0, f"{section!r} returns nothing")
