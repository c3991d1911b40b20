"""The inpainter keeps its role's promises, reads the mask, and trains, tests and tabulates inside ofhkit."""

import json
from pathlib import Path

import torch
from gated_inpainter import GatedInpainter

from ofhkit import Options, compare, train
from ofhkit.registry import INPAINTERS
from ofhkit.testing import check_inpainter

CONFIG = Path(__file__).parents[1] / "configs/gated_synthetic.py"
TINY = {
    "model.inpainter.channels": 4,
    "model.upsampler.channels": 4,
    "model.upsampler.map_channels": 4,
    "data.dataset.num_faces": dict(train=4, val=2, test=2),
    "data.dataset.cache": False,
    "stages.inpainter.iterations": 2,
    "stages.upsampler.iterations": 2,
    "stages.inpainter.batch_size": 2,
    "stages.upsampler.batch_size": 2,
    "evaluation.after_training": 0,
    "method": "Gated+FSRCNN, tiny",
    "runtime.validations": 1,
}


def test_it_keeps_the_promises_of_its_role():
    check_inpainter(GatedInpainter(channels=4))


def test_it_is_found_by_name_alone():
    assert INPAINTERS.get("GatedInpainter") is GatedInpainter


def test_the_mask_is_an_input():
    network, lr = GatedInpainter(channels=4).eval(), torch.zeros(1, 3, 16, 16)
    assert not torch.equal(network(lr, torch.zeros(1, 1, 16, 16)), network(lr, torch.ones(1, 1, 16, 16)))


def test_it_trains_is_tested_and_tabulated(tmp_path):
    train(CONFIG, Options(work_dir=tmp_path / "work", device="cpu"), cfg_options=TINY)
    compare([CONFIG], work_dir=tmp_path / "work", out=tmp_path / "out", device="cpu")
    methods = [row["method"] for row in json.loads((tmp_path / "out/results.json").read_text())["rows"]]
    assert methods[-2:] == ["IN+bicubic", "Gated+FSRCNN, tiny"]
    assert "Gated+FSRCNN" in (tmp_path / "out/table1.md").read_text()
