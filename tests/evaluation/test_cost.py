"""Parameters and products against counts by hand."""

import pytest
import torch

from ofhkit.evaluation.scoring import count_gmacs, count_parameters, milliseconds
from ofhkit.models.upsamplers import MeanFace
from ofhkit.registry import HALLUCINATORS


def pipeline(upsampler, inpainter=None):
    inpainter = inpainter or dict(type="Telea")
    return HALLUCINATORS.build(dict(type="FaceHallucinator", inpainter=inpainter, upsampler=upsampler)).eval()


def test_fsrcnn_by_hand():
    model = pipeline(dict(type="FSRCNN", channels=8, map_channels=4, num_blocks=2))
    weights = [3 * 8 * 25, 8 * 4, 4 * 4 * 9, 4 * 4 * 9, 4 * 8, 8 * 3 * 81]
    biases, slopes = [8, 4, 4, 4, 8, 3], [8, 4, 4, 4, 8]
    assert count_parameters(model) == sum(weights + biases + slopes)
    assert count_gmacs(model) == pytest.approx(256 * sum(weights) / 1e9)  # all of it at 16x16


def test_products_are_counted_as_published_not_as_computed():
    model = pipeline(dict(type="ResidualUpsampler", channels=(8, 8, 8), head_channels=(4, 4)))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    low, middle, high = 256, 1024, 4096
    blocks = low * 9 * (3 * 8 + 2 * 64) + (middle + high) * 9 * 3 * 64
    skip = low * 3 * 8
    head = 16384 * 9 * (8 * 4 + 4 * 4 + 4 * 3)
    assert count_gmacs(model) == pytest.approx((blocks + skip + head) / 1e9)
    assert all((model.state_dict()[name] == value).all() for name, value in before.items())
    assert model.upsampler.head1.implementation == "auto"


def test_what_is_fitted_counts_and_statistics_do_not():
    mean = MeanFace()
    mean.partial_fit(torch.rand(2, 3, 16, 16), torch.rand(2, 3, 128, 128))
    mean.finalise()
    assert count_parameters(pipeline(mean)) == 3 * 128 * 128
    assert count_parameters(torch.nn.BatchNorm2d(5)) == 10


def test_milliseconds_are_the_median_of_the_runs_for_one_face(monkeypatch):
    model = pipeline(dict(type="Bicubic"))
    # the clock at the start, then before and after each of three runs; what is asked in between is not read
    clock = iter([0.0, 1.0, 1.8, 2.0, 2.2, 3.0, 7.0, 100.0])
    monkeypatch.setattr("ofhkit.evaluation.scoring.time.perf_counter", lambda: next(clock))
    assert milliseconds(model, 8) == pytest.approx(1000 * 0.8 / 8)
