"""The measurements of the face prior, on faces of noise: they see the right faces and compute what they say."""

import pytest
import torch
from benchmarks import prior

from ofhkit.models.inpainters import GaussianInpainter
from ofhkit.models.pipeline import FaceHallucinator


@pytest.fixture(scope="module")
def moments(pack):
    return prior.Moments.collect(pack)


@pytest.fixture(scope="module")
def model(pack):
    inpainter = GaussianInpainter()
    train = prior.Faces(pack, "train")
    inpainter.partial_fit(train.lr, train.hr)
    inpainter.finalise()
    found = FaceHallucinator(inpainter, dict(type="Bicubic")).eval()
    found.info = {"name": "prior"}
    return found


def cells(table, row):
    return [cell.strip() for cell in table.splitlines()[2 + row].strip("|").split("|")]


def test_the_moments_are_those_that_the_inpainter_is_fitted_to(moments, model):
    assert torch.allclose(moments["mean_x"].float(), model.inpainter.mean.flatten(), atol=1e-6)
    assert moments["cov_xy"].shape == (768, 49152)


def test_lambda_is_the_smallest_near_the_best(moments, pack, monkeypatch):
    scores = {1e-5: 30.0, 1e-4: 30.995, 1e-3: 31.0}
    monkeypatch.setattr(prior, "LAMBDAS", tuple(scores))
    monkeypatch.setattr(prior, "_complete", lambda m, lr, mask, lam: lam)
    monkeypatch.setattr(prior, "psnr", lambda lam, lr, span: torch.tensor([scores[lam]]))
    assert "of the best: 0.0001." in prior.regularisations(moments, prior.Faces(pack, "val"))


def test_holes_and_consistency_are_measured(model, pack):
    faces = prior.Faces(pack, "test", 3)
    assert cells(prior.holes(faces, [model]), 0)[0].startswith("17 to 63")
    table = prior.consistency(faces, [model])
    plain, held = cells(table, 0), cells(table, 1)
    assert (plain[1], held[1]) == ("no", "yes")
    assert float(held[2]) <= 1e-6 < 1e-3 < float(plain[2])


def test_a_face_that_was_learnt_by_heart_is_told_from_others(moments, pack):
    text = prior.privacy(moments, prior.Faces(pack, "train", 5), prior.Faces(pack, "test", 5))
    assert "area under the ROC 1.000" in text or "area of 1.000" in text  # six faces span their own space
