"""OFHNet's four networks: shapes, and parameters counted by hand."""

import itertools

import pytest
import torch

from ofhkit.ops import fuse
from ofhkit.registry import DISCRIMINATORS, INPAINTERS, PRIORS, UPSAMPLERS


def count(network) -> int:
    return sum(p.numel() for p in network.parameters())


def conv(i, o, k=3, bias=False) -> int:
    return i * o * k * k + (o if bias else 0)


def bn(c) -> int:
    return 2 * c


def test_inpainter():
    net = INPAINTERS.build(dict(type="EncoderDecoder"))
    encoder = sum(conv(i, o) + bn(o) for i, o in ((3, 16), (16, 32), (32, 64), (64, 64)))
    decoder = bn(64) + conv(64, 64) + bn(64) + bn(64) + conv(64, 32) + bn(32)
    assert count(net) == encoder + decoder + conv(32, 16, bias=True) + conv(16, 3, bias=True)
    assert net.encoder(torch.rand(2, 3, 16, 16)).flatten(1).shape == (2, 1024)  # the paper's bottleneck
    out = net(torch.rand(2, 3, 16, 16), torch.zeros(2, 1, 16, 16))
    assert out.shape == (2, 3, 16, 16)
    assert out.min() > 0
    assert out.max() < 1


def test_inpainter_may_see_the_mask():
    net = INPAINTERS.build(dict(type="EncoderDecoder", mask_channel=True)).eval()
    lr = torch.rand(1, 3, 16, 16)
    assert not torch.equal(net(lr, torch.zeros(1, 1, 16, 16)), net(lr, torch.ones(1, 1, 16, 16)))


def test_upsampler():
    net = UPSAMPLERS.build(dict(type="ResidualUpsampler"))
    blocks = 0
    for i, o in ((3, 256), (256, 128), (128, 64)):
        blocks += conv(i, o) + bn(o) + conv(o, o) + bn(o) + conv(o, o) + conv(i, o, k=1) + bn(o)
    head = conv(64, 64, bias=True) + conv(64, 32, bias=True) + conv(32, 3, bias=True)
    assert count(net) == blocks + head
    assert net.scale == 8
    assert net(torch.rand(2, 3, 16, 16)).shape == (2, 3, 128, 128)


def test_equal_widths_need_no_projection():
    net = UPSAMPLERS.build(dict(type="ResidualUpsampler", channels=(8, 8, 8)))
    assert count(net.blocks[1].skip) == 0


def test_the_image_skip_is_the_bicubic_enlargement():
    torch.manual_seed(0)
    net = UPSAMPLERS.build(dict(type="ResidualUpsampler", channels=(4, 4, 4), head_channels=(4, 4), image_skip=True))
    with torch.no_grad():
        net.head3.weight.zero_()
    lr = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(net.eval()(lr), UPSAMPLERS.build(dict(type="Bicubic"))(lr), rtol=0, atol=1e-6)
    torch.nn.init.normal_(net.head3.weight)
    torch.testing.assert_close(fuse(net, (lr,))(lr), net(lr), rtol=0, atol=1e-5)


def test_discriminator():
    net = DISCRIMINATORS.build(dict(type="FaceDiscriminator"))
    widths = (3, 32, 64, 128, 256, 512, 512)
    blocks = sum(conv(i, o, k=4) + bn(o) for i, o in itertools.pairwise(widths))
    assert count(net) == blocks + conv(512, 64, bias=True) + 64 * 4 + 1
    assert net(torch.rand(2, 3, 128, 128)).shape == (2, 1)


@pytest.mark.parametrize(("padding", "parameters"), [(0, 1_835_784), (1, 17_564_424)])
def test_landmark_network(padding, parameters):
    net = PRIORS.build(dict(type="FanZhou", padding=padding))
    assert count(net) == parameters
    points = net(torch.rand(2, 3, 128, 128))
    assert points.shape == (2, 68, 2)
    assert (points == 63.5).all()  # it starts from the middle of the face
