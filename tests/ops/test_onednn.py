"""Fused convolutions against the public operators."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F

from ofhkit.ops import FastConv2d, onednn


def layer(transposed=False, activation="relu", dtype=torch.float32):
    torch.manual_seed(0)
    weight = torch.randn(8, 12, 4, 4) if transposed else torch.randn(12, 8, 3, 3)
    return FastConv2d(weight.to(dtype), torch.randn(12).to(dtype), 1 + transposed, 1, activation, transposed)


def plain(module, x, skip=None):
    convolve = F.conv_transpose2d if module.transposed else F.conv2d
    y = convolve(x, module.weight, module.bias, module.stride, module.padding)
    y = y if skip is None else y + skip
    return getattr(torch, module.activation)(y) if module.activation else y


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("activation", [None, "relu", "sigmoid"])
@pytest.mark.parametrize("transposed", [False, True])
def test_equal_with_and_without_the_private_operators(transposed, activation, private, monkeypatch):
    monkeypatch.setattr(onednn, "available", lambda dtype: private and dtype == torch.float32)
    module = layer(transposed, activation)
    for size in ((1, 8, 5, 6), (3, 8, 5, 6), (3, 8, 9, 2)):
        x = torch.randn(size).contiguous(memory_format=torch.channels_last)
        assert torch.allclose(module(x), plain(module, x), atol=2e-5)


@pytest.mark.parametrize("private", [True, False])
def test_the_skip_is_added_before_the_activation(private, monkeypatch):
    monkeypatch.setattr(onednn, "available", lambda dtype: private)
    module = layer()
    x = torch.randn(2, 8, 5, 6).contiguous(memory_format=torch.channels_last)
    skip = torch.randn(2, 12, 5, 6).contiguous(memory_format=torch.channels_last)
    expected = plain(module, x, skip)
    assert torch.allclose(module(x, skip), expected, atol=2e-5)


def test_a_used_layer_can_be_copied_pickled_and_cast():
    module = layer()
    x = torch.randn(2, 8, 5, 6)
    expected = module(x)
    assert torch.equal(copy.deepcopy(module)(x), expected)
    assert torch.equal(pickle.loads(pickle.dumps(module))(x), expected)
    assert torch.allclose(module.double()(x.double()).float(), expected, atol=2e-5)


def test_ever_new_sizes_do_not_fill_the_memory():
    module = layer()
    for width in range(2, 20):
        module(torch.randn(1, 8, 4, width))
    assert len(module._packed) <= 8


def test_empty_batch():
    assert layer()(torch.randn(0, 8, 5, 6)).shape == (0, 12, 5, 6)


def test_other_precisions_use_the_public_operators():
    assert not onednn.available(torch.float64)
    x = torch.randn(2, 8, 5, 6, dtype=torch.float64)
    module = layer(dtype=torch.float64)
    assert torch.allclose(module(x), plain(module, x), atol=1e-12)


@pytest.mark.parametrize("transposed", [False, True])
def test_a_used_layer_follows_weights_that_are_loaded(transposed):
    module, other = layer(transposed), layer(transposed)
    x = torch.randn(2, 8, 5, 6)
    module(x)
    other.weight.mul_(-2)
    module.load_state_dict(other.state_dict())
    assert torch.allclose(module(x), plain(other, x), atol=4e-5)
