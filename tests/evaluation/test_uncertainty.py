"""Calibration and its measurements are what they say, on faces drawn from the prior itself."""

import numpy as np
import pytest
import torch
from benchmarks import uncertainty

from ofhkit.functional import gaussian
from ofhkit.functional.masks import random_rectangles
from ofhkit.functional.resample import upsample_bicubic
from ofhkit.models.inpainters import GaussianInpainter
from ofhkit.models.pipeline import FaceHallucinator


class Drawn:
    """Faces as the prior has them, and large ones with noise that is known."""

    def __init__(self, inpainter, count, seed):
        g = torch.Generator().manual_seed(seed)
        noise = torch.randn(1, count, 3, 16, 16, generator=g)
        hidden = torch.ones(count, 768, dtype=torch.bool)
        drawn = gaussian.draw(noise.flatten(2), hidden, inpainter.precision)[0].view(count, 3, 16, 16).float()
        self.lr = inpainter.mean + drawn
        self.hr = upsample_bicubic(self.lr) + 0.02 * torch.randn(count, 3, 128, 128, generator=g)
        self.mask = random_rectangles(torch.arange(count), seed=seed)


@pytest.fixture(scope="module")
def model():
    axis = torch.arange(16.0)
    near = torch.exp(-((axis[:, None] - axis) ** 2) / 18).double()
    covariance = 4e-3 * torch.kron(torch.eye(3).double() + 1, torch.kron(near, near))
    inpainter = GaussianInpainter(regularisation=1e-4)
    state = {"mean": torch.full((3, 16, 16), 0.5), "covariance": gaussian.triangle(covariance).float()}
    inpainter.load_state_dict({**state, "num_faces": torch.tensor(1)})
    found = FaceHallucinator(inpainter, dict(type="Bicubic")).eval()
    found.info = {"name": "prior"}
    found.uncertainty = uncertainty.calibrate(found, Drawn(inpainter, 30, 1))
    return found


def rows(table):
    return [[c.strip() for c in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_calibrated_intervals_hold_nine_tenths_of_other_faces(model):
    found = rows(uncertainty.coverage([model], Drawn(model.inpainter, 30, 2)))
    assert [row[1] for row in found] == ["16x16, hole", "128x128, hole", "128x128, outside"]
    for row in found:
        assert 0.85 < float(row[2]) < 0.94
        assert float(row[3]) < 1.05 * float(row[4])
    assert min(float(order) for order in found[1][5:]) > 0.15


def test_the_residual_is_the_noise_that_was_added(model):
    assert model.uncertainty.residual.sqrt().mean() == pytest.approx(0.02, rel=0.1)


@pytest.mark.slow
def test_the_truth_is_as_often_at_every_rank(model):
    found = uncertainty.ranks(model, Drawn(model.inpainter, 100, 3), samples=9)
    small, large, grainy = (counts / counts.sum() for counts in found.values())
    assert np.abs(small - 0.1).max() < 0.03
    assert np.abs(grainy - 0.1).max() < 0.03
    assert large[[0, -1]].sum() > grainy[[0, -1]].sum()  # the enlargement alone is too sure
    assert "</svg>" in uncertainty.draw_ranks(found)
    model.uncertainty.small[0] -= 0.7  # half as wide: the truth is too often the first or the last
    try:
        narrow = uncertainty.ranks(model, Drawn(model.inpainter, 100, 3), samples=9)
    finally:
        model.uncertainty.small[0] += 0.7
    narrow, wide = narrow["16x16"], found["16x16"]
    assert narrow[[0, -1]].sum() > 1.5 * wide[[0, -1]].sum()


def test_the_sheet_shows_three_faces_and_the_most_wrong(model):
    sheet = uncertainty.sheet(model, Drawn(model.inpainter, 6, 4), answers=2)
    assert sheet.shape[0] > 4 * 96
    assert sheet.shape[1] > 7 * 96


def test_spearman_is_one_for_the_same_order():
    a = np.array([0.1, 3.0, 2.0])
    assert uncertainty.spearman(a, a**3) == pytest.approx(1)
    assert uncertainty.spearman(a, -a) == pytest.approx(-1)
