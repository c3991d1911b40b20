"""Weights of losses, chosen on validation faces: one row a combination, from trainings that really differ."""

import pytest
from benchmarks.choose_weights import choose_weights, parse_weights
from curriculum_maker import OFHNET, write_config
from pipeline_maker import write_pack

from ofhkit.errors import OfhkitError
from ofhkit.training.curriculum import Options


@pytest.mark.slow
def test_one_row_a_combination(tmp_path):
    pack = write_pack(tmp_path / "pack", (8, 3, 2))
    config = write_config(tmp_path, "ofhnet", "OFHNet", OFHNET)
    weights = [{"adversarial": 0.0}, {"adversarial": 0.5}]
    table = choose_weights(config, weights, Options(work_dir=tmp_path / "w", device="cpu"), pack, limit=3)
    head, _, without, with_it = ([cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines())
    assert head == ["adversarial", "PSNR (dB)", "LPIPS", "NRMSE (%)", "real right", "fake right", "share"]
    assert (without[0], with_it[0]) == ("0", "0.5")
    assert without[1:3] != with_it[1:3]
    assert all(0 <= float(row[4]) <= 1 for row in (without, with_it))


def test_what_is_no_weight_is_said():
    with pytest.raises(OfhkitError, match="--weight structure=big: say it as LOSS=NUMBER,NUMBER"):
        parse_weights("structure=big")
