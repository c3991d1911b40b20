"""The oracle is torch's own convolution and its gradient."""

import pytest
import torch
import torch.nn.functional as F

from ofhkit.ops import FastConv2d, fold
from ofhkit.ops.layouts import narrow_conv2d, narrow_weight_gradient, packs
from ofhkit.ops.onednn import NarrowConv2d


@pytest.mark.parametrize("size", [(1, 4), (3, 8), (5, 7), (16, 16)])
@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_is_the_plain_convolution(size, k, channels, layout):
    torch.manual_seed(0)
    x = torch.randn(2, 6, *size, dtype=torch.float64).contiguous(memory_format=layout)
    weight, bias = (torch.randn(s, dtype=torch.float64) for s in ((channels, 6, k, k), (channels,)))
    expected = F.conv2d(x, weight, bias, padding=k // 2)
    got = narrow_conv2d(x, weight, bias, padding=k // 2)
    assert got.shape == expected.shape
    assert (got - expected).abs().max() < 1e-12


def test_without_padding_the_row_may_divide_or_not():
    x, weight, bias = torch.randn(1, 4, 6, 6), torch.randn(3, 4, 3, 3), torch.randn(3)
    assert packs(6, 3, 0)
    assert not packs(7, 3, 0)
    for part in (x, x[..., :5]):
        assert torch.allclose(narrow_conv2d(part, weight, bias), F.conv2d(part, weight, bias), atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (4, 5), (8, 8)])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_the_gradient_of_the_weight(size, k):
    torch.manual_seed(0)
    x = torch.randn(3, 6, *size, dtype=torch.float64)
    weight = torch.randn(2, 6, k, k, dtype=torch.float64, requires_grad=True)
    y = F.conv2d(x, weight, padding=k // 2)
    grad = torch.randn_like(y)
    (expected,) = torch.autograd.grad(y, weight, grad)
    assert (narrow_weight_gradient(x, grad, weight.detach(), k // 2) - expected).abs().max() < 1e-12


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid"])
@pytest.mark.parametrize("width", [8, 9])
def test_a_folded_convolution_to_a_picture_packs_neighbouring_pixels(activation, width, monkeypatch):
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(8, 3, 3, padding=1)
    layer = fold(conv, activation=activation)
    assert isinstance(layer, NarrowConv2d)
    calls = []
    forward = FastConv2d.forward
    monkeypatch.setattr(FastConv2d, "forward", lambda self, *a: calls.append(self.stride) or forward(self, *a))
    x = torch.randn(2, 8, 6, width).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        expected = conv(x) if activation is None else getattr(torch, activation)(conv(x))
        assert (layer(x) - expected).abs().max() < 1e-5
    assert calls == [(1, 4) if width == 8 else (1, 1)]
    assert layer(x).is_contiguous(memory_format=torch.channels_last)
