"""The realism check: what its landmark errors mean, and a whole small one."""

from pathlib import Path

import pytest
import torch
from benchmarks.realism import landmark_errors, measure_realism, realism_table
from celeba_maker import MadeCelebA

from ofhkit.data.celeba.prepare import prepare
from ofhkit.training.curriculum import Options

ROOT = Path(__file__).parents[2]
CONFIG = f"""
_base_ = {str(ROOT / "configs/ofhnet_celeba.py")!r}
model = dict(
    inpainter=dict(channels=(4, 4, 8, 8), decoder_channels=(8, 4, 4)),
    upsampler=dict(channels=(4, 4, 4), head_channels=(4, 4)),
    discriminator=dict(channels=(4, 4, 4, 4, 4, 4), out_channels=4),
)
stages = dict(
    landmarks=dict(iterations=2, batch_size=4),
    inpainter=dict(iterations=2, batch_size=4),
    upsampler=dict(iterations=2, batch_size=4),
)
runtime = dict(validations=1, val_images=4)
"""


class Faces:
    """Landmarks alone, with the eyes 50 pixels apart."""

    def __init__(self, count, seed):
        self.points = torch.rand(count, 68, 2, generator=torch.Generator().manual_seed(seed)) * 50
        self.points[:, 36], self.points[:, 45] = torch.tensor([0.0, 0]), torch.tensor([50.0, 0])

    def __len__(self):
        return len(self.points)

    def __getitems__(self, indices):
        return {"hr": self.points[indices], "landmarks": self.points[indices]}


def test_a_constant_offset_is_told_from_errors():
    faces = {"val": Faces(5, 0), "test": Faces(7, 1)}
    offset = torch.zeros(68, 2)
    offset[:27] = torch.tensor([3.0, 4.0])  # jaw and brows only: 5 of 50 pixels
    errors = landmark_errors(lambda points: points + offset, faces)
    assert errors["NRMSE"] == pytest.approx(10 * 27 / 68)
    assert errors["NRMSE_inner"] == pytest.approx(0)
    assert errors["NRMSE_aligned"] == pytest.approx(0, abs=1e-5)


@pytest.mark.slow
def test_the_same_method_is_trained_on_both(tmp_path, capsys):
    for seed, name in enumerate(("drawn", "real")):
        prepare(MadeCelebA(20, seed=seed).flat(tmp_path / name), tmp_path / f"{name}_pack", workers=0)
    config = tmp_path / "ofhnet_tiny.py"
    config.write_text(CONFIG)
    options = Options(work_dir=tmp_path / "work", device="cpu")
    drawn = {"data.dataset.root": str(tmp_path / "drawn_pack")}
    rows = measure_realism(config, tmp_path / "real_pack", options, drawn)
    assert [(row["trained_on"], row["faces"]) for row in rows] == [("mean shape", 12), ("rendered", 12), ("real", 12)]
    assert rows[1]["PSNR"] != rows[2]["PSNR"]
    assert rows[1]["NRMSE"] != rows[2]["NRMSE"]
    table = realism_table(rows, config, options)
    assert table.count("\n") == 7
    assert "4 test faces of real" in table
