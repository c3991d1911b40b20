"""Oracle: the unfused torch layers in evaluation mode, float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.ops import UpsampleConv2d, affine, fold, fold_skip


def normalisation(channels):
    """A batch normalisation with random statistics and partly negative scales."""
    torch.manual_seed(channels)
    norm = nn.BatchNorm2d(channels).double().eval()
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.running_var, 0.1, 3)
    assert (norm.weight < 0).any()
    return norm


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (4, 2, 1), (1, 1, 0), (5, 1, 2)])
def test_conv_norm_activation(kernel, stride, padding, bias, activation):
    norm = normalisation(6)
    conv = nn.Conv2d(3, 6, kernel, stride, padding, bias=bias).double()
    x = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    expected = norm(conv(x))
    expected = getattr(torch, activation)(expected) if activation else expected
    assert (fold(conv, norm, activation)(x) - expected).abs().max() < 1e-12


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_upsample_conv_norm_relu(kernel):
    norm = normalisation(6)
    conv = UpsampleConv2d(3, 6, kernel).double()
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    plain = F.conv2d(F.interpolate(x, scale_factor=2), conv.weight, conv.bias, padding=kernel // 2)
    assert (fold(conv, norm, "relu")(x) - norm(plain).relu()).abs().max() < 1e-12


@pytest.mark.parametrize("skip", [nn.Identity(), nn.Conv2d(6, 6, 1).double(), nn.Conv2d(6, 6, 1, bias=False).double()])
def test_the_norm_behind_a_sum_goes_into_both_branches(skip):
    norm = normalisation(6)
    conv = nn.Conv2d(6, 6, 3, padding=1).double()
    x = torch.randn(2, 6, 5, 4, dtype=torch.float64)
    expected = norm(conv(x) + skip(x)).relu()
    before = x.clone()
    assert (fold(conv, norm, "relu")(x, fold_skip(skip, norm)(x)) - expected).abs().max() < 1e-12
    assert torch.equal(x, before)


def test_affine():
    norm = normalisation(6)
    x = torch.randn(2, 6, 5, 4, dtype=torch.float64)
    assert (affine(norm)(x) - norm(x)).abs().max() < 1e-12
    assert (affine(norm, relu=True)(x) - norm(x).relu()).abs().max() < 1e-12


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, (3, 5)),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
    ],
)
def test_what_has_no_fast_form_is_refused(conv):
    with pytest.raises(OfhkitError, match="no fast form"):
        fold(conv)
    with pytest.raises(OfhkitError, match="running statistics"):
        fold(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4, track_running_stats=False))
    with pytest.raises(OfhkitError, match="Identity"):
        fold_skip(nn.ReLU(), nn.BatchNorm2d(4))
