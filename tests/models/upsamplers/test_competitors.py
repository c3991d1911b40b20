import numpy as np
import pytest
import torch
from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.models.upsamplers import FSRCNN, URDGN, VDSR, Bicubic
from ofhkit.registry import UPSAMPLERS


def numbers(network):
    return sum(p.numel() for p in network.parameters())


def test_parameter_counts_by_hand():
    fsrcnn = (75 * 56 + 56) + (56 * 12 + 12) + 4 * (9 * 12 * 12 + 12) + (12 * 56 + 56) + (56 * 81 * 3 + 3)
    assert numbers(FSRCNN()) == fsrcnn + (56 + 12 + 4 * 12 + 56)  # plus one slope a channel
    assert numbers(VDSR()) == (27 * 64 + 64) + 18 * (9 * 64 * 64 + 64) + (9 * 64 * 3 + 3)
    convolutions = 9 * 3 * 16 + 9 * 16 * 64 + 25 * 64 * 128 + 25 * 128 * 256 + (25 * 256 * 3 + 3)
    assert numbers(URDGN()) == convolutions + 2 * (16 + 64 + 128 + 256)
    assert numbers(Bicubic()) == 0


@pytest.mark.parametrize("name", ["Bicubic", "FSRCNN", "URDGN", "VDSR"])
def test_sizes_follow_the_input(name):
    network = UPSAMPLERS.build({"type": name})
    assert network.scale == 8
    with torch.no_grad():
        assert network(torch.rand(2, 3, 4, 6)).shape == (2, 3, 32, 48)


@pytest.mark.parametrize("scale", range(1, 10))
def test_every_pixel_of_fsrcnn_sees_the_face(scale):
    """The trap of padding 4 at stride 8: the last rows and columns hear of nothing but the bias."""
    torch.manual_seed(0)
    network = FSRCNN(scale=scale).double()
    nn.init.normal_(network.deconv.weight)
    lr = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        change = (network(lr) - network(1 - lr)).abs().amin(1)[0]
    assert change.shape == (16 * scale, 16 * scale)
    assert change.min() > 1e-6


def test_fsrcnns_usual_padding_would_fail_that_test():
    usual = nn.ConvTranspose2d(56, 3, 9, stride=8, padding=4, output_padding=7)
    with torch.no_grad():
        change = (usual(torch.rand(1, 56, 16, 16)) - usual(torch.zeros(1, 56, 16, 16))).abs()
    assert change.shape[-1] == 128
    assert change[..., 125:].max() == 0


def test_fsrcnn_refuses_a_scale_beyond_its_kernel():
    with pytest.raises(OfhkitError, match="1 to 9"):
        FSRCNN(scale=10)


def test_vdsr_adds_a_residual_to_bicubic():
    network = VDSR(num_blocks=3)
    lr = torch.rand(1, 3, 8, 8)
    nn.init.zeros_(network.residual[-1].weight)
    nn.init.constant_(network.residual[-1].bias, 0.25)
    with torch.no_grad():
        assert torch.allclose(network(lr), Bicubic()(lr) + 0.25, atol=1e-6)
    assert len([m for m in VDSR().residual if isinstance(m, nn.Conv2d)]) == 20
    assert isinstance(network.residual[-1], nn.Conv2d)  # no ReLU on the residual: it must be able to darken


def test_urdgn_equals_its_published_layers():
    torch.manual_seed(0)
    network = URDGN(channels=(3, 5, 4, 6)).double().eval()
    for norm in (network.bn1, network.bn2, network.bn3, network.bn4):
        norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2), nn.init.normal_(norm.bias)
    plain = nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Upsample(scale_factor=2),
        nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.Upsample(scale_factor=2),
        nn.Conv2d(5, 4, 5, padding=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Upsample(scale_factor=2),
        nn.Conv2d(4, 6, 5, padding=2), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 3, 5, padding=2),
    ).double().eval()  # fmt: skip
    ours = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    theirs = [m for m in plain if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    order = [network.conv1, network.bn1, network.conv2, network.bn2, network.conv3, network.bn3, network.conv4]
    assert ours == [*order, network.bn4, network.conv5]
    for source, target in zip(ours, theirs):
        if isinstance(target, nn.Conv2d):
            nn.init.zeros_(target.bias)
        target.load_state_dict(source.state_dict(), strict=False)
    lr = torch.rand(2, 3, 5, 4, dtype=torch.float64)
    with torch.no_grad():
        assert (network(lr) - (plain(lr * 2 - 1) + 1) / 2).abs().max() < 1e-12


@pytest.mark.slow
def test_urdgn_begins_as_an_enlargement():
    noise = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    lr = nn.functional.interpolate(noise, 16, mode="bicubic")
    lr = (lr - lr.mean((0, 2, 3), keepdim=True)) / lr.std((0, 2, 3), keepdim=True) / 4 + 0.5  # spread 0.5 in [-1, 1]
    inside = (..., slice(16, -16), slice(16, -16))  # zeros are padded, not repeated borders
    with torch.no_grad():
        error = (URDGN()(lr) - Bicubic()(lr))[inside].std()
        assert error < 0.02 < 0.2 < (URDGN(enlargement=False)(lr) - Bicubic()(lr))[inside].std()


def test_published_initialisation():
    torch.manual_seed(0)
    deconv = FSRCNN().deconv.weight.detach()
    assert deconv.std().item() == pytest.approx(0.001, rel=0.03)
    hidden = VDSR().residual[2].weight  # He: variance 2 / (9 * 64)
    assert hidden.var().item() == pytest.approx(2 / 576, rel=0.05)
    gamma = URDGN(enlargement=False).bn4.weight.detach().numpy()
    np.testing.assert_allclose([gamma.mean(), gamma.var()], [1 / 2, 1 / 12], atol=0.05)  # uniform on [0, 1]
