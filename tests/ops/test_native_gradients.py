"""The gradients' kernels in C, and both vector widths, against autograd in float64."""

import pytest
import torch
import torch.nn.functional as F
from compiler_marks import needs_compiler

from ofhkit.ops import UpsampleConv2d, jit_c, native_conv
from ofhkit.ops.layouts import phase_kernel, upsample_nearest

pytestmark = needs_compiler
SIZES = [(1, 1), (2, 1), (4, 6), (5, 9), (18, 31)]


@pytest.fixture
def threads():
    """Give the thread count back."""
    count = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(count)


@pytest.fixture(scope="module")
def wide_library(tmp_path_factory):
    """The kernels for sixteen lanes, which any processor can emulate."""
    with pytest.MonkeyPatch.context() as patch:
        wide = (*jit_c.flags(), "-DOFHKIT_WIDE", "-Wno-psabi")
        patch.setattr(jit_c, "flags", lambda: wide)
        return jit_c.load(jit_c.build(jit_c.compiler(), tmp_path_factory.mktemp("wide") / "kernels"))


@pytest.fixture(params=["native", "wide"])
def width(request, wide_library, monkeypatch):
    """Take the kernels for this processor, and those for sixteen lanes."""
    if request.param == "wide":
        monkeypatch.setattr(native_conv, "library", lambda: wide_library)


def error(got, wanted):
    assert got.shape == wanted.shape
    return ((got - wanted).abs().max() / wanted.abs().max()).item()


def examples(channels, out_channels, count, size, scale=1):
    torch.manual_seed(0)
    x, weight = torch.randn(count, channels, *size), torch.randn(out_channels, channels, 3, 3) / 10
    return x, torch.randn(count, out_channels, *(scale * side for side in size)), weight


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("channels", "count"), [((32, 64), 1), ((96, 32), 3)])
def test_the_weight_s_gradient(size, channels, count, width, threads):
    threads(count)
    x, grad, weight = examples(*channels, count, size)
    weight = weight.double().requires_grad_()
    F.conv2d(x.double(), weight, padding=1).backward(grad.double())
    for layout in (torch.contiguous_format, torch.channels_last):
        views = (t.contiguous(memory_format=layout) for t in (x, grad))
        assert error(native_conv.conv2d_weight_gradient(*views), weight.grad) < 3e-6


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("channels", "count"), [((32, 64), 1), ((96, 32), 3)])
def test_the_gradients_behind_the_enlargement(size, channels, count, width, threads):
    threads(count)
    x, grad, weight = examples(*channels, count, size, scale=2)
    exact, wanted = weight.double().requires_grad_(), x.double().requires_grad_()
    F.conv_transpose2d(wanted, phase_kernel(exact), stride=2, padding=1).backward(grad.double())
    kernel = phase_kernel(weight.requires_grad_())
    grad_x, grad_kernel = native_conv.upsample_conv2d_gradients(x, grad, kernel.detach(), True, True)
    kernel.backward(grad_kernel)
    assert error(grad_x, wanted.grad) < 3e-6
    assert error(weight.grad, exact.grad) < 3e-6
    alone = native_conv.upsample_conv2d_gradients(x, grad, kernel.detach(), True, False)
    assert torch.equal(alone[0], grad_x)
    assert alone[1] is None
    alone = native_conv.upsample_conv2d_gradients(x, grad, kernel.detach(), False, True)
    assert alone[0] is None
    assert torch.equal(alone[1], grad_kernel)


@pytest.mark.parametrize("size", SIZES)
def test_forward_in_both_widths(size, width, threads):
    threads(2)
    x, skip, weight = examples(32, 64, 3, size)
    y = native_conv.conv2d(x, native_conv.pack(weight), torch.zeros(64), True, skip.clone())
    assert error(y, (F.conv2d(x.double(), weight.double(), padding=1) + skip).relu()) < 2e-6
    if not (size[0] % 2 or size[1] % 2):
        small = skip[..., ::2, ::2]
        y = native_conv.conv2d(x, native_conv.pack(weight), torch.zeros(64), True, small)
        expected = F.conv2d(x.double(), weight.double(), padding=1) + upsample_nearest(small)
        assert error(y, expected.relu()) < 2e-6
    kernel = phase_kernel(weight)
    y = native_conv.upsample_conv2d(x, native_conv.pack(kernel, True), None, False)
    assert error(y, F.conv_transpose2d(x.double(), kernel.double(), stride=2, padding=1)) < 2e-6


def test_equal_calls_give_equal_bits(threads):
    threads(3)
    x, grad, weight = examples(32, 32, 7, (33, 18))
    _, large, _ = examples(32, 32, 7, (33, 18), scale=2)
    first = native_conv.conv2d_weight_gradient(x, grad)
    second = native_conv.upsample_conv2d_gradients(x, large, phase_kernel(weight), True, True)
    for _ in range(10):
        assert torch.equal(native_conv.conv2d_weight_gradient(x, grad), first)
        again = native_conv.upsample_conv2d_gradients(x, large, phase_kernel(weight), True, True)
        assert all(torch.equal(a, b) for a, b in zip(again, second))


def test_training_calls_them_and_a_graph_of_the_gradient_does_not(monkeypatch):
    calls = []
    run = native_conv.upsample_conv2d_gradients
    monkeypatch.setattr(native_conv, "upsample_conv2d_gradients", lambda *a: calls.append(a) or run(*a))
    conv, x = UpsampleConv2d(32, 32), torch.randn(2, 32, 5, 5, requires_grad=True)
    (plain,) = torch.autograd.grad(conv(x).square().sum(), x)
    assert len(calls) == 1
    (graph,) = torch.autograd.grad(conv(x).square().sum(), x, create_graph=True)
    assert len(calls) == 1
    assert torch.allclose(plain, graph, rtol=1e-4, atol=1e-4)
    graph.sum().backward()
