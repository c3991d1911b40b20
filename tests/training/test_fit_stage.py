"""A curriculum fits an inpainter as it fits an upsampler: in one pass, once for all methods, on faces of any size."""

import json

import pytest
import torch
from pipeline_maker import ROOT, write_pack

from ofhkit.errors import OfhkitError
from ofhkit.functional.resample import downsample_cubic
from ofhkit.models.inpainters import GaussianInpainter
from ofhkit.registry import DATASETS, STAGES
from ofhkit.training.curriculum import Options, train
from ofhkit.zoo import load_model


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return write_pack(tmp_path_factory.mktemp("fit") / "pack")


def fit(pack, work, **options):
    return train(
        ROOT / "configs/gaussian/gaussian_bicubic_celeba.py",
        Options(work_dir=work, device="cpu", budget=0.01),
        pack,
        cfg_options=options,
    )


@pytest.mark.parametrize("size", [16, 32])
def test_an_inpainter_is_fitted_to_the_clean_training_faces(pack, tmp_path, size):
    options = {"data.degradation.size": size, "model.upsampler.scale": 128 // size}
    model = load_model(fit(pack, tmp_path, **options), "cpu")
    train_faces = DATASETS.build(dict(type="PackedFaces", root=str(pack)), split="train")
    hr = torch.stack([torch.as_tensor(train_faces[i]["hr"]) for i in range(len(train_faces))]).float() / 255
    expected = GaussianInpainter()
    expected.partial_fit(downsample_cubic(hr, size).clamp(0, 1), hr)
    expected.finalise()
    assert model.inpainter.num_faces == 6
    for name, value in expected.state_dict().items():
        assert torch.allclose(model.inpainter.state_dict()[name], value, atol=1e-7), name
    assert [p.name.partition("-")[0] for p in (tmp_path / "shared").iterdir()] == ["fit_inpainter"]


def test_a_fit_is_shared_and_another_regularisation_is_another_fit(pack, tmp_path):
    fit(pack, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "shared").glob("*/weights.safetensors")}
    fit(pack, tmp_path)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "shared").glob("*/weights.safetensors")} == before
    fit(pack, tmp_path, **{"model.inpainter.regularisation": 1e-3})
    specs = [json.loads(p.read_text())["spec"] for p in (tmp_path / "shared").glob("*/stage.json")]
    assert sorted(r["inpainter"]["regularisation"] for r in specs) == [3e-5, 1e-3]


def test_only_what_is_fitted_is_named():
    with pytest.raises(OfhkitError, match="trains one of inpainter, upsampler, got 'discriminator'"):
        STAGES.build(dict(type="FitStage", trains="discriminator"))
