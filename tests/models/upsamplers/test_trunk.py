"""OFHNet+'s upsampler, and what an upsampler may ask for."""

import copy

import pytest
import torch
from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.functional.resample import upsample_bicubic
from ofhkit.models.pipeline import upsampler_inputs
from ofhkit.models.upsamplers import TrunkUpsampler
from ofhkit.ops import fuse
from ofhkit.registry import HALLUCINATORS


def pipeline(upsampler):
    return HALLUCINATORS.build(
        dict(type="FaceHallucinator", inpainter=dict(type="EncoderDecoder"), upsampler=upsampler)
    ).eval()


def face(seed=0):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros(2, 1, 16, 16)
    mask[:, :, 4:9, 5:11] = 1
    return torch.rand(2, 3, 16, 16, generator=generator) * (1 - mask), mask


def stirred(network):
    """The network with weights everywhere, as training would leave it."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return network.eval()


def test_it_starts_at_the_bicubic_face_and_reads_mask_and_place():
    network = TrunkUpsampler(8, 2, (8, 8, 8))
    lr, mask = face()
    nn.init.zeros_(network.last.weight)
    assert torch.equal(network(lr, mask), upsample_bicubic(lr, 8))
    network = stirred(network)
    with torch.no_grad():
        assert not torch.allclose(network(lr, mask), network(lr, 1 - mask))
        with_places = moved_by(network, lr, mask)
        nn.init.constant_(network.position, 0.3)
        assert with_places > 1.3 * moved_by(network, lr, mask)


def moved_by(network, lr, mask):
    """How much the middle of the answer changes when the face is moved sideways."""
    moved = network(lr.roll(4, 3), mask.roll(4, 3)).roll(-32, 3)
    return (moved - network(lr, mask))[..., 56:88].abs().mean()


def test_it_refuses_a_size_whose_places_it_has_not_learnt():
    with pytest.raises(OfhkitError, match=r"16x16.*size=24"):
        TrunkUpsampler(8, 1, (8, 8, 8))(torch.rand(1, 3, 24, 24), torch.zeros(1, 1, 24, 24))


@pytest.mark.parametrize("widths", [(8, 2, (8, 8, 8)), (16, 1, (16, 8))])
def test_the_fused_network_and_pipeline_are_the_plain_ones(widths):
    channels, blocks, ladder = widths
    network = stirred(TrunkUpsampler(*widths))
    lr, mask = face()
    with torch.no_grad():
        fast = fuse(network, probe=(lr, mask))
        torch.testing.assert_close(fast(lr, mask), network(lr, mask), rtol=1e-4, atol=1e-4)
    model = pipeline(dict(type="TrunkUpsampler", channels=channels, num_blocks=blocks, ladder=ladder))
    stirred(model.upsampler)
    torch.testing.assert_close(model.fuse()(lr, mask), model(lr, mask).detach(), rtol=1e-4, atol=1e-4)


class Asks(nn.Module):
    scale = 8

    def forward(self, face, mask):
        return upsample_bicubic(face * (1 - mask), 8)


class AsksTooMuch(nn.Module):
    scale = 8

    def forward(self, completed, masc):
        return completed


def test_an_upsampler_is_given_what_its_forward_names():
    assert upsampler_inputs(Asks()) == ("completed", "mask")
    model = pipeline(Asks())
    lr, mask = face()
    with torch.no_grad():
        expected = upsample_bicubic(lr, 8).clamp(0, 1)
        torch.testing.assert_close(model(lr, mask), expected)
        torch.testing.assert_close(copy.deepcopy(model)(lr, mask), expected)


def test_what_is_not_known_then_is_refused_by_name():
    with pytest.raises(OfhkitError, match=r"AsksTooMuch.*'masc'.*did you mean 'mask'"):
        pipeline(AsksTooMuch())
