"""The upsampler and its loss keep their promises, and trains, tests and tabulates inside ofhkit."""

import json
from pathlib import Path

import torch
from edsr_upsampler import EDSR, GradientLoss

from ofhkit import Options, compare, train
from ofhkit.registry import LOSSES, UPSAMPLERS
from ofhkit.testing import check_loss, check_upsampler

CONFIG = Path(__file__).parents[1] / "configs/edsr_synthetic.py"
TINY = {
    "model.inpainter.channels": (4, 4, 4, 4),
    "model.inpainter.decoder_channels": (4, 4, 4),
    "model.upsampler.channels": 4,
    "model.upsampler.num_blocks": 1,
    "data.dataset.num_faces": dict(train=4, val=2, test=2),
    "data.dataset.cache": False,
    "stages.inpainter.iterations": 2,
    "stages.upsampler.iterations": 2,
    "stages.inpainter.batch_size": 2,
    "stages.upsampler.batch_size": 2,
    "evaluation.after_training": 0,
    "method": "IN+EDSR, tiny",
    "runtime.validations": 1,
}


def test_they_keep_the_promises_of_their_roles():
    network = EDSR(channels=4, num_blocks=1)
    torch.nn.init.normal_(network.last.weight)
    check_upsampler(network)
    check_loss(GradientLoss())


def test_they_are_found_by_name_alone():
    assert UPSAMPLERS.get("EDSR") is EDSR
    assert LOSSES.get("GradientLoss") is GradientLoss


def test_it_starts_from_the_bicubic_enlargement():
    lr = torch.rand(1, 3, 16, 16)
    expected = torch.nn.functional.interpolate(lr, scale_factor=4, mode="bicubic", align_corners=False)
    assert torch.allclose(EDSR(channels=4, num_blocks=1, scale=4)(lr), expected, atol=1e-6)


def test_a_shift_in_brightness_costs_nothing_and_a_step_its_height():
    hr = torch.zeros(1, 3, 8, 8)
    assert GradientLoss()(hr + 0.3, hr).item() == 0
    step = hr.clone()
    step[..., 4:] = 0.7  # one of seven horizontal differences in every row
    assert abs(GradientLoss()(step, hr).item() - 0.7 / 7) < 1e-6


def test_it_trains_is_tested_and_tabulated(tmp_path):
    train(CONFIG, Options(work_dir=tmp_path / "work", device="cpu"), cfg_options=TINY)
    compare([CONFIG], work_dir=tmp_path / "work", out=tmp_path / "out", device="cpu")
    methods = [row["method"] for row in json.loads((tmp_path / "out/results.json").read_text())["rows"]]
    assert methods[-2:] == ["IN+bicubic", "IN+EDSR, tiny"]
    assert "IN+EDSR" in (tmp_path / "out/table1.md").read_text()
