"""Hooks of MMEngine, unchanged, in a stage's ``hooks``: averaging, profiling and stopping early."""

import json

import pytest
import torch
from pipeline_maker import ROOT, write_pack
from torch import nn

from ofhkit.registry import INPAINTERS
from ofhkit.training.checkpoint import load_checkpoint
from ofhkit.training.curriculum import Options, train
from ofhkit.training.hooks import SaveCheckpoint
from ofhkit.zoo.weights import load_weights

CONFIG = """
_base_ = {base!r}
model = dict(inpainter=dict(type="OneConvolution"))
stages = dict(inpainter=dict(
    iterations=8, batch_size=4, optimizer=dict(type="SGD", lr=0.1), schedule=None,
    save={save!r}, hooks=dict(own={hook!r}),
))
runtime = dict(checkpoint_interval=2, validations=4, val_images=2)
"""


class OneConvolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, lr, mask):
        return self.layer(torch.cat([lr, mask], 1))


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    INPAINTERS.register_module(module=OneConvolution)
    yield write_pack(tmp_path_factory.mktemp("faces") / "pack", splits=(8, 2, 1))
    del INPAINTERS.module_dict["OneConvolution"]


@pytest.fixture
def run(pack, tmp_path):
    def run(name, save="last", **hook):
        config = tmp_path / f"{name}.py"
        config.write_text(CONFIG.format(base=str(ROOT / "configs/bicubic_celeba.py"), hook=hook, save=save))
        train(config, Options(work_dir=tmp_path / name, device="cpu", stages=("inpainter",)), pack)
        return next((tmp_path / name / "shared").glob("inpainter-*"))

    return run


def test_ema_averages_what_is_validated_and_resumes(run, tmp_path, monkeypatch):
    ema = dict(type="EMAHook", momentum=0.5)
    whole = run("whole", save="best", **ema)
    save = SaveCheckpoint.after_train_iter

    def stop(hook, runner, batch_idx, **rest):
        save(hook, runner, batch_idx, **rest)
        if batch_idx == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(SaveCheckpoint, "after_train_iter", stop)
    with pytest.raises(KeyboardInterrupt):
        run("resumed", save="best", **ema)
    (folder,) = (tmp_path / "resumed/shared").iterdir()
    saved = load_checkpoint(max(folder.glob("iter_*.pth")))
    assert saved["meta"]["iter"] == 4
    own, averaged = (saved[key] for key in ("ema_state_dict", "state_dict"))  # MMEngine exchanges the two
    assert not torch.equal(averaged["inpainter.layer.weight"], own["module.inpainter.layer.weight"])
    monkeypatch.setattr(SaveCheckpoint, "after_train_iter", save)

    resumed = run("resumed", save="best", **ema)
    last, best = (load_weights(whole / name)[0] for name in ("weights.safetensors", "best.safetensors"))
    assert all(torch.equal(value, best[key]) for key, value in last.items())  # at this rate the last is the best
    for key, value in load_weights(resumed / "weights.safetensors")[0].items():
        assert torch.equal(value, last[key])
    plain, _ = load_weights(run("plain", save="best", type="EmptyCacheHook") / "weights.safetensors")
    assert not torch.equal(plain["layer.weight"], last["layer.weight"])  # what was validated is the average


def test_the_profiler_profiles(run, tmp_path):
    trace = tmp_path / "trace.json"
    run("profiled", type="ProfilerHook", by_epoch=False, profile_times=2, json_trace_path=str(trace))
    assert any("conv" in event.get("name", "") for event in json.loads(trace.read_text())["traceEvents"])
    trace.unlink()
    run("whole", type="ProfilerHook", json_trace_path=str(trace))  # one epoch: the whole stage
    assert trace.is_file()


def test_a_stage_that_does_not_gain_stops_early_and_is_done(run):
    stop = dict(type="EarlyStoppingHook", monitor="LRPSNR", rule="greater", min_delta=1000.0, patience=1)
    folder = run("stopped", **stop)
    log = (folder / "train.log").read_text()
    assert "4/8  val" in log
    assert "6/8  val" not in log
    assert (folder / "weights.safetensors").is_file()
    assert not list(folder.glob("iter_*"))
