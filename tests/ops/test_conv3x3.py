"""The oracle is torch's own convolution, differentiated by autograd."""

import pytest
import torch
import torch.nn.functional as F
from compiler_marks import needs_compiler
from torch import nn

from ofhkit.ops import Conv3x3, conv3x3, native_conv, set_implementation


def make(in_channels, out_channels, size, padding, bias, layout=torch.contiguous_format):
    torch.manual_seed(0)
    conv = Conv3x3(in_channels, out_channels, padding, bias=bias)
    x = torch.randn(3, in_channels, *size).contiguous(memory_format=layout).requires_grad_()
    return conv, x


def gradients(y, inputs):
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y.dtype)
    return [y.detach(), *torch.autograd.grad(y, inputs, grad)]


@needs_compiler
@pytest.mark.parametrize("size", [(3, 3), (7, 5), (16, 16), (13, 18)])
@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_outputs_and_all_gradients(size, padding, bias, layout, monkeypatch):
    assert native_conv.verified()  # by calls that are not to be counted
    calls = []
    run = native_conv.conv2d
    monkeypatch.setattr(native_conv, "conv2d", lambda *a: calls.append(a) or run(*a))
    conv, x = make(32, 64, size, padding, bias, layout)
    results = gradients(conv(x), [x, *conv.parameters()])
    assert len(calls) == 2  # forward, and the data's gradient
    twin = nn.Conv2d(32, 64, 3, padding=padding, bias=bias).double()
    twin.load_state_dict(conv.state_dict())
    x = x.detach().double().requires_grad_()
    for got, want in zip(results, gradients(twin(x), [x, *twin.parameters()]), strict=True):
        assert got.shape == want.shape
        assert (got - want).abs().max() <= 1e-5 * want.abs().max()


@needs_compiler
def test_an_activation_in_place_may_follow():
    conv, x = make(32, 32, (4, 4), 1, True)
    results = gradients(F.relu(conv(x), inplace=True), [x, conv.weight])
    expected = gradients(F.relu(nn.Conv2d.forward(conv, x)), [x, conv.weight])
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(results, expected, strict=True))


@needs_compiler
def test_what_needs_no_gradient_is_not_computed(monkeypatch):
    conv, x = make(32, 32, (4, 4), 1, True)
    conv.requires_grad_(False)
    conv(x).sum().backward()
    assert x.grad is not None
    assert conv.weight.grad is None
    conv, x = make(32, 32, (4, 4), 1, True)
    y = conv(x.detach())
    monkeypatch.setattr(conv3x3, "mirrored", lambda *a: pytest.fail("convolved backwards"))
    y.sum().backward()
    assert conv.weight.grad is not None


def test_elsewhere_torch_runs(monkeypatch):
    monkeypatch.setattr(conv3x3, "convolve", lambda *a: pytest.fail("ran the kernel"))
    conv, x = make(32, 32, (4, 4), 1, True)
    with torch.no_grad():
        conv(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert conv(x).dtype == torch.bfloat16
    conv.double()(x.double())
    set_implementation(conv, "plain")
    conv.float()(x)
    conv, x = make(5, 7, (4, 4), 1, True)  # no multiple of the kernel's width
    conv(x)
    conv, x = make(32, 32, (2, 2), 0, True)
    with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
        conv(x)


@needs_compiler
def test_a_second_derivative_raises():
    conv, x = make(32, 32, (4, 4), 1, True)
    (first,) = torch.autograd.grad(conv(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()
