"""A training's log, read again."""

import json

import pytest
from benchmarks.curves import curve_chart, curve_table, read_curve

from ofhkit.errors import OfhkitError

LOG = """2026-01-01 09:00:00 [upsampler]  50/400  val: PSNR 11  SSIM 0.1
2026-01-01 10:00:00 [upsampler]  50/100  d_real_right 0.6  d_fake_right 0.8  total 1e-03  lr 1.00e-05  2 img/s
2026-01-01 10:01:00 [upsampler]  60/100  val: PSNR 20.5  SSIM 0.5
2026-01-01 10:01:00 [upsampler]  60/100  d_real_right 0.8  d_fake_right 0.6  adversary_share 0.1  total 1e-03
2026-01-01 10:02:00 [upsampler] goes on at iteration 55
2026-01-01 10:03:00 [upsampler]  60/100  val: PSNR 20.5  SSIM 0.5
2026-01-01 10:03:00 [upsampler]  60/100  d_real_right 0.9  d_fake_right 0.6  total 1e-03
2026-01-01 10:04:00 [upsampler] 100/100  val: PSNR 22  SSIM 0.6
2026-01-01 10:04:00 [upsampler] 100/100  d_real_right 0.7  d_fake_right 0.7  total 1e-03
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "stage.json").write_text(json.dumps({"spec": {"batch_size": 4}}))
    (tmp_path / "train.log").write_text(LOG)
    return tmp_path


def test_each_validation_is_one_row_with_the_game_since_the_last(folder):
    first, last = read_curve(folder)
    assert first == {"faces": 240, "PSNR": 20.5, "SSIM": 0.5, "real right": 0.9, "fake right": 0.6}
    assert last == {"faces": 400, "PSNR": 22, "SSIM": 0.6, "real right": 0.7, "fake right": 0.7}
    assert "| 240 | 20.5 | 0.5 | 0.9 | 0.6 |" in curve_table([first, last])
    other = [{"faces": 100, "PSNR": 15.0}, {"faces": 400, "PSNR": 16.0}]
    svg = curve_chart({"one": [first, last], "other": other, "without": [{"faces": 1, "SSIM": 0.1}]})
    assert ">0.24k<" in svg
    assert ">without<" not in svg


def test_what_is_no_training_is_said(tmp_path, folder):
    (folder / "train.log").write_text("")
    with pytest.raises(OfhkitError, match="nothing was validated"):
        read_curve(folder)
    with pytest.raises(OfhkitError, match="is no folder of a trained stage"):
        read_curve(tmp_path / "absent")
