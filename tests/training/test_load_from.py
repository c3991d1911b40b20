"""``load_from`` and ``save='best'`` on the shortest of all curricula: an inpainter alone."""

from pathlib import Path

import pytest
import torch
from celeba_maker import MadeCelebA
from curriculum_maker import write_config
from safetensors.torch import load_file

from ofhkit.errors import OfhkitError
from ofhkit.training.curriculum import Options, train
from ofhkit.zoo.weights import load_weights, save_weights

STILL = 'stages["inpainter"] |= dict(iterations=2, optimizer=dict(type="SGD", lr=0.0), schedule=None)\n'


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("celeba") / "raw"
    MadeCelebA(40).flat(root)
    return root


def inpainter_of(work: Path) -> dict[str, torch.Tensor]:
    (path,) = work.glob("shared/inpainter-*/weights.safetensors")
    return load_file(path)


def test_the_last_stage_starts_from_the_file_and_is_another_result(faces, tmp_path, capsys):
    config = write_config(tmp_path, "bicubic", "IN+bicubic", more=STILL)
    train(config, Options(work_dir=tmp_path / "a", device="cpu"), faces, seed=1)
    own = inpainter_of(tmp_path / "a")
    start = tmp_path / "a/bicubic_tiny/model.safetensors"
    train(config, Options(work_dir=tmp_path / "b", device="cpu"), faces, {"load_from": str(start)}, seed=2)
    found = inpainter_of(tmp_path / "b")
    learned = [name for name in own if "running" not in name and "num_batches" not in name]
    assert all(torch.equal(found[name], own[name]) for name in learned)  # at a learning rate of 0
    assert f"starts from {start}: matched {len(own)}/{len(own)} tensors" in capsys.readouterr().err


def test_what_cannot_be_started_from_is_said_before_any_data_is_read(tmp_path):
    config = write_config(tmp_path, "bicubic", "IN+bicubic", more=STILL)
    save_weights(tmp_path / "w.safetensors", {"encoder.0.0.weight": torch.zeros(1)}, {})
    for file, message in (
        ("none.safetensors", "no weights"),
        ("w.safetensors", "load_from: .*does not fit this EncoderDecoder: matched 0/"),
        (3, "load_from must be the path"),
    ):
        start = file if isinstance(file, int) else str(tmp_path / file)
        with pytest.raises(OfhkitError, match=message):
            train(config, Options(work_dir=tmp_path / "w", device="cpu"), tmp_path / "no_data", {"load_from": start})
    ma = write_config(tmp_path, "ma", "IN+Ma")
    with pytest.raises(OfhkitError, match="fitted in one pass and starts from nothing"):
        train(ma, Options(work_dir=tmp_path / "w", device="cpu"), tmp_path / "no_data", {"load_from": "x"})


def test_the_best_weights_are_delivered_if_wanted(faces, tmp_path):
    worse = 'stages["inpainter"] |= dict(iterations=4, save="best", optimizer=dict(type="SGD", lr=20.0))\n'
    config = write_config(tmp_path, "bicubic", "IN+bicubic", more=worse + "runtime |= dict(validations=4)\n")
    train(config, Options(work_dir=tmp_path / "w", device="cpu"), faces)
    (best,) = (tmp_path / "w").glob("shared/inpainter-*/best.safetensors")
    weights, header = load_weights(best)
    assert header["metric"] == "LRPSNR"
    assert 1 <= header["iteration"] < 4  # the last are worse at this learning rate
    delivered = inpainter_of(tmp_path / "w")
    assert all(torch.equal(weights[name], delivered[name]) for name in weights)
