"""``runtime.compile`` for real: a tiny stage is trained, stopped, resumed and delivered as without it."""

import json
import shutil

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
model = dict(inpainter=dict(type="BriefInpainter"))
stages = dict(inpainter=dict(iterations=6, batch_size=4, optimizer=dict(type="SGD", lr=0.1), schedule=None))
runtime = dict(checkpoint_interval=2, validations=1, val_images=2)
"""


class BriefInpainter(nn.Module):
    """Two convolutions with what depends on mode and batch between them."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 5, padding=3)

    def forward(self, lr, mask):
        return self.last(self.norm(self.first(torch.cat([lr, mask], 1))).relu())


@pytest.fixture
def inpainter():
    INPAINTERS.register_module(module=BriefInpainter)
    yield
    del INPAINTERS.module_dict["BriefInpainter"]


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="no C++ compiler")
def test_a_compiled_stage_is_stopped_resumed_and_delivered_as_any_other(inpainter, tmp_path, monkeypatch):
    torch.compiler.reset()
    pack = write_pack(tmp_path / "pack", splits=(8, 2, 1))
    config = tmp_path / "brief.py"
    config.write_text(CONFIG.format(base=str(ROOT / "configs/bicubic_celeba.py")))

    def run(name, compiled):
        options = Options(work_dir=tmp_path / name, device="cpu", stages=("inpainter",))
        train(config, options, pack, {"runtime.compile": compiled})
        return next((tmp_path / name / "shared").glob("inpainter-*"))

    plain = run("plain", False)
    save = SaveCheckpoint.after_train_iter

    def stop(hook, runner, batch_idx, **rest):
        save(hook, runner, batch_idx, **rest)
        if batch_idx == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(SaveCheckpoint, "after_train_iter", stop)
    with pytest.raises(KeyboardInterrupt):
        run("compiled", True)
    monkeypatch.setattr(SaveCheckpoint, "after_train_iter", save)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1
    (folder,) = (tmp_path / "compiled/shared").glob("inpainter-*")
    saved = load_checkpoint(max(folder.glob("iter_*.pth")))
    assert saved["meta"]["iter"] == 4
    assert not any("_orig_mod" in key for key in saved["state_dict"])

    assert run("compiled", True) == folder
    expected, header = load_weights(plain / "weights.safetensors")
    found, other = load_weights(folder / "weights.safetensors")
    assert found.keys() == expected.keys()
    assert header["digest"] == other["digest"]
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-5)
    assert json.loads((folder / "stage.json").read_text()) == json.loads((plain / "stage.json").read_text())
