"""The oracle is torch's own interpolate + conv2d in float64, differentiated by autograd."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.ops import UpsampleConv2d, upsample_conv2d


def oracle(x, weight, bias):
    return F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), weight, bias, padding=weight.shape[-1] // 2)


def make(n=2, c=3, o=4, h=5, w=7, k=3, dtype=torch.float64, bias=True, layout=torch.contiguous_format):
    generator = torch.Generator().manual_seed(n * 1000 + h * 10 + k)
    x = torch.randn(n, c, h, w, dtype=dtype, generator=generator).contiguous(memory_format=layout)
    weight = torch.randn(o, c, k, k, dtype=dtype, generator=generator)
    shift = torch.randn(o, dtype=dtype, generator=generator) if bias else None
    return [None if t is None else t.requires_grad_() for t in (x, weight, shift)]


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (3, 5), (8, 7)])
@pytest.mark.parametrize("k", [1, 3, 5, 7, 9])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_outputs_and_all_gradients_equal_the_plain_operators_in_float64(k, size, layout):
    inputs = make(h=size[0], w=size[1], k=k, layout=layout)
    expected = oracle(*inputs)
    grad = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, inputs, grad)
    for implementation in ("auto", "phase", "plain"):
        y = upsample_conv2d(*inputs, implementation)
        assert y.shape == expected.shape
        assert (y - expected).abs().max() < 1e-12
        for got, want in zip(torch.autograd.grad(y, inputs, grad), wanted):
            assert (got - want).abs().max() < 1e-11


def test_second_derivatives():
    inputs = make(n=1, c=2, o=2, h=2, w=3)
    assert torch.autograd.gradgradcheck(lambda *t: upsample_conv2d(*t, implementation="phase"), inputs)


def test_only_what_needs_a_gradient_gets_one():
    x, weight, bias = make()
    upsample_conv2d(x, weight.detach(), bias.detach()).sum().backward()
    assert x.grad is not None
    assert weight.grad is None
    assert bias.grad is None


def test_no_bias():
    x, weight, _ = make(bias=False)
    assert torch.allclose(upsample_conv2d(x, weight), oracle(x, weight, None), atol=1e-12, rtol=0)


def test_empty_batch_gives_an_empty_map_and_zero_gradients():
    x, weight, bias = make(n=1)
    y = upsample_conv2d(x[:0], weight, bias)
    assert y.shape == (0, 4, 10, 14)
    y.sum().backward()
    assert weight.grad.abs().sum() == 0


def test_float32_is_as_exact_as_the_plain_operators():
    x, weight, bias = make(n=2, c=64, o=32, h=16, w=16)
    exact = oracle(x, weight, bias)
    single = [t.detach().float() for t in (x, weight, bias)]
    error = (upsample_conv2d(*single) - exact).abs().max() / exact.abs().max()
    assert error < 1e-6


def test_channels_last_in_channels_last_out():
    x, weight, bias = make(dtype=torch.float32, c=8, o=16, layout=torch.channels_last)
    assert upsample_conv2d(x, weight, bias).is_contiguous(memory_format=torch.channels_last)


def test_autocast_computes_in_bfloat16_and_returns_float32_gradients():
    x, weight, bias = make(dtype=torch.float32, c=16, o=8)
    with torch.autocast("cpu", torch.bfloat16):
        y = upsample_conv2d(x, weight, bias)
    assert y.dtype == torch.bfloat16
    y.float().square().sum().backward()
    assert {t.grad.dtype for t in (x, weight, bias)} == {torch.float32}
    assert (y.float() - oracle(x, weight, bias)).abs().max() < 0.02 * y.abs().max()


@pytest.mark.slow
def test_it_compiles_in_one_graph():
    inputs = make(dtype=torch.float32)
    compiled = torch.compile(upsample_conv2d, fullgraph=True, backend="aot_eager")
    y = compiled(*inputs)
    grad = torch.randn_like(y)
    for got, want in zip(torch.autograd.grad(y, inputs, grad), torch.autograd.grad(oracle(*inputs), inputs, grad)):
        assert torch.allclose(got, want, atol=1e-4)


def test_the_module_has_the_keys_and_the_initialisation_of_conv2d():
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 5, 5, padding=2)
    torch.manual_seed(0)
    module = UpsampleConv2d(3, 5, 5)
    assert {k: v.shape for k, v in module.state_dict().items()} == {k: v.shape for k, v in conv.state_dict().items()}
    x = torch.rand(2, 3, 4, 4)
    assert torch.allclose(module(x), conv(F.interpolate(x, scale_factor=2)), atol=1e-6)
    assert "implementation" not in repr(module)
    assert "implementation='plain'" in repr(UpsampleConv2d(3, 5, 3, implementation="plain"))


def test_mistakes_are_named():
    x, weight, bias = make()
    with pytest.raises(OfhkitError, match="did you mean 'phase'"):
        upsample_conv2d(x, weight, bias, "phases")
    with pytest.raises(OfhkitError, match="did you mean 'plain'"):
        UpsampleConv2d(3, 3, implementation="plian")
    with pytest.raises(OfhkitError, match="odd k"):
        upsample_conv2d(x, weight[..., :2, :2], bias)
