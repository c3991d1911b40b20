"""Cross-fitted completion: a face in training is completed by moments that do not hold it, and resuming is exact."""

from itertools import combinations

import pytest
import torch
from pipeline_maker import ROOT, write_pack
from safetensors.torch import load_file

from ofhkit.data.degradation import Degradation
from ofhkit.errors import OfhkitError
from ofhkit.models.inpainters import GaussianInpainter
from ofhkit.registry import DATASETS, STAGES
from ofhkit.training import fitted
from ofhkit.training.curriculum import Options, train
from ofhkit.training.hooks import SaveCheckpoint

CPU = torch.device("cpu")
SMALL = {
    "model.upsampler": dict(type="TrunkUpsampler", channels=8, num_blocks=1, ladder=(8, 8, 8)),
    "stages.upsampler.batch_size": 4,
    "runtime.val_images": 2,
}


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return write_pack(tmp_path_factory.mktemp("folds") / "pack", (30, 2, 2))


@pytest.fixture(scope="module")
def faces(pack):
    return DATASETS.build(dict(type="PackedFaces", root=str(pack)), split="train")


def test_a_face_is_completed_by_the_faces_of_the_other_folds(faces):
    degrade = Degradation(dict(type="RandomRectangle"))
    networks = fitted.cross_fit(dict(type="GaussianInpainter"), 3, faces, degrade, CPU)
    (batch,) = fitted.each_face(faces, degrade, 64, "faces")
    folds = fitted.fold_of(batch["index"], 3)
    assert sorted(folds.unique().tolist()) == [0, 1, 2]
    completed = fitted.complete_crossed(networks, batch["lr"], batch["mask"], batch["index"])
    for row in (0, 7, 23):
        others = GaussianInpainter()
        others.partial_fit(batch["lr_gt"][folds != folds[row]], batch["hr"][folds != folds[row]])
        others.finalise()
        expected = others(batch["lr"][row : row + 1], batch["mask"][row : row + 1])
        assert torch.allclose(completed[row : row + 1], expected, atol=1e-5)
    known = batch["mask"].expand_as(batch["lr"]) == 0
    assert torch.equal(completed[known], batch["lr"][known])


def test_a_training_upon_a_fit_knows_what_each_of_its_stages_costs(pack, tmp_path):
    options = SMALL | {"stages.upsampler.iterations": 1}
    config = ROOT / "configs/ofhnet_plus_celeba.py"
    assert train(config, Options(work_dir=tmp_path, device="cpu"), pack, options).is_file()


def test_every_face_comes_once_whoever_shares_the_pass(faces):
    degrade = Degradation(dict(type="RandomRectangle"))
    shares = [
        torch.cat([b["index"] for b in fitted.each_face(faces, degrade, 8, "faces", rank, 3)]) for rank in range(3)
    ]
    assert all(not set(a.tolist()) & set(b.tolist()) for a, b in combinations(shares, 2))
    assert len(torch.cat(shares).unique()) == len(faces)


def run(pack, work, folds, iterations=6, **options):
    options = SMALL | {"stages.upsampler.cross_fit": folds, "stages.upsampler.iterations": iterations} | options
    config = ROOT / "configs/ofhnet_plus_celeba.py"
    return load_file(train(config, Options(work_dir=work, device="cpu"), pack, options))


@pytest.mark.slow
def test_a_training_differs_by_it_and_is_resumed_to_the_same_bits(pack, tmp_path, monkeypatch):
    whole = run(pack, tmp_path / "whole", 3)
    without = run(pack, tmp_path / "without", 0)
    torch.testing.assert_close(whole["inpainter.covariance"], without["inpainter.covariance"], rtol=0, atol=0)
    assert not torch.equal(whole["upsampler.last.weight"], without["upsampler.last.weight"])

    save = SaveCheckpoint.after_train_iter

    def stop(self, runner, batch_idx, **rest):
        runner.save_checkpoint()
        save(self, runner, batch_idx, **rest)
        if batch_idx == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SaveCheckpoint, "after_train_iter", stop)
        with pytest.raises(KeyboardInterrupt):
            run(pack, tmp_path / "stopped", 3)
    resumed = run(pack, tmp_path / "stopped", 3)
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_folds_are_for_fitted_inpainters_and_more_than_one(pack, tmp_path):
    with pytest.raises(OfhkitError, match="cross_fit is 0 or at least 2 folds, got 1"):
        STAGES.build(dict(type="UpsamplerStage", iterations=1, cross_fit=1))
    with pytest.raises(OfhkitError, match="cross_fit is for inpainters that are fitted; leave it out for Telea"):
        run(pack, tmp_path, 3, **{"model.inpainter": dict(type="Telea")})
