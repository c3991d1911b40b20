"""``consistent=True``: any pipeline's result, shrunk again, is the completed face; fused, traced and trained too."""

import pytest
import torch
from torch.nn.functional import interpolate

from ofhkit.export import graph
from ofhkit.functional.resample import downsample_cubic
from ofhkit.registry import HALLUCINATORS

UPSAMPLERS = [dict(type="Bicubic"), dict(type="ResidualUpsampler", channels=(4, 4, 4), head_channels=(4, 4))]
INPAINTER = dict(type="EncoderDecoder", channels=(4, 4, 4, 4), decoder_channels=(4, 4, 4))


def build(upsampler, **more):
    torch.manual_seed(0)
    model = dict(type="FaceHallucinator", inpainter=INPAINTER, upsampler=upsampler, consistent=True, **more)
    return HALLUCINATORS.build(model)


@pytest.fixture(scope="module")
def question():
    g = torch.Generator().manual_seed(1)
    lr = 0.2 + 0.6 * interpolate(torch.rand(3, 3, 4, 4, generator=g), size=16, mode="bilinear")
    mask = torch.zeros(3, 1, 16, 16)
    mask[:, :, 5:11, 4:12] = 1
    return lr * (1 - mask), mask


@pytest.mark.parametrize("upsampler", UPSAMPLERS, ids=lambda u: u["type"])
@torch.no_grad()
def test_shrunk_again_it_is_the_completed_face(upsampler, question):
    model = build(upsampler).eval()
    lr, mask = question
    completed = model.complete(lr, mask)
    assert (downsample_cubic(model.upsample(completed, mask)) - completed).abs().max() <= 1e-6
    found = model.predict(lr, mask)
    eight_bits = (found["sr"] * 255).round() / 255
    assert (downsample_cubic(eight_bits) - found["completed"]).abs().max() <= 1e-3
    model.consistent = False
    assert (downsample_cubic(model(lr, mask)) - completed).abs().max() > 1e-3


@pytest.mark.slow
@torch.no_grad()
def test_the_fused_and_the_traced_form_are_as_consistent(question):
    model = build(UPSAMPLERS[1]).eval()
    lr, mask = question
    expected = model(lr, mask)
    assert (model.fuse()(lr, mask) - expected).abs().max() < 1e-4
    batch = torch.export.Dim("batch", min=1, max=9)
    shapes = {"lr": {0: batch}, "mask": {0: batch}}
    traced = torch.export.export(graph(model), (lr[:2], mask[:2]), dynamic_shapes=shapes).module()
    assert (traced(lr, mask) - expected).abs().max() < 1e-4


def test_a_gradient_reaches_the_upsampler_through_the_correction(question):
    model = build(UPSAMPLERS[1])
    lr, mask = question
    (model.upsample(lr, mask) - 0.5).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.upsampler.parameters() if p.grad is not None)
    assert any(p.grad.any() for p in model.upsampler.parameters() if p.grad is not None)


def test_infinity_stays_no_number(question):
    model = build(dict(type="Bicubic")).eval()
    lr, mask = question
    model.upsampler.forward = lambda completed: torch.full((3, 3, 128, 128), torch.inf)
    model._upsampler_takes = ("completed",)
    assert model(lr, mask).isnan().any()
