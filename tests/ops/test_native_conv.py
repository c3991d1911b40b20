"""The kernel in C against the plain operators in float64."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from compiler_marks import needs_compiler
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from ofhkit.errors import OfhkitError
from ofhkit.models.upsamplers.residual import ResidualUpsampler
from ofhkit.ops import (
    FastConv2d,
    UpsampleConv2d,
    autotune,
    fuse,
    head,
    jit_c,
    native_conv,
    onednn,
    upsample_conv2d,
    upsampling_head,
)
from ofhkit.ops.layouts import phase_kernel, upsample_nearest

pytestmark = needs_compiler


@pytest.fixture
def threads():
    """Give the thread count back."""
    count = torch.get_num_threads()
    yield
    torch.set_num_threads(count)


def example(channels, out_channels, *size, offset=0.0):
    torch.manual_seed(0)
    weight = torch.randn(out_channels, channels, 3, 3) / (3 * channels**0.5)
    bias = torch.randn(out_channels)
    x = torch.randn(*size[:1], channels, *size[1:]) + offset
    expected = F.conv2d(upsample_nearest(x.double()), weight.double(), bias.double(), padding=1)
    return x, phase_kernel(weight.double()).float(), bias, expected


def error(y, expected):
    assert y.shape == expected.shape
    return ((y - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 4), (4, 3), (7, 16), (15, 17), (18, 31), (40, 5)])
def test_every_size_on_every_number_of_threads(size, count, threads):
    torch.set_num_threads(count)
    x, kernel, bias, expected = example(32, 64, 3, *size)
    y = native_conv.upsample_conv2d(x, native_conv.pack(kernel, True), bias, False)
    assert error(y, expected) < 2e-6
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("channels", "out_channels"), [(32, 32), (64, 64), (96, 32), (256, 128)])
def test_every_width(channels, out_channels):
    x, kernel, bias, expected = example(channels, out_channels, 2, 8, 9)
    assert error(native_conv.upsample_conv2d(x, native_conv.pack(kernel, True), bias, False), expected) < 2e-6


@pytest.mark.parametrize("offset", [-3.0, 0.0, 100.0])
def test_negative_and_large_values_with_relu(offset):
    x, kernel, bias, expected = example(32, 32, 2, 6, 7, offset=offset)
    y = native_conv.upsample_conv2d(x, native_conv.pack(kernel, True), bias, True)
    assert (y - expected.relu()).abs().max() < 2e-6 * expected.abs().max()
    assert y.min() >= 0


def test_no_number_stays_no_number():
    x, kernel, bias, _ = example(32, 32, 1, 4, 4)
    x[0, 3, 1, 1] = torch.nan
    assert native_conv.upsample_conv2d(x, native_conv.pack(kernel, True), bias, True).isnan().any()


def test_any_layout_and_no_images():
    x, kernel, bias, expected = example(32, 32, 4, 5, 6)
    packed = native_conv.pack(kernel, True)
    for view in (x, x.contiguous(memory_format=torch.channels_last), x.transpose(2, 3).contiguous().transpose(2, 3)):
        assert error(native_conv.upsample_conv2d(view, packed, bias, False), expected) < 2e-6
    assert error(native_conv.upsample_conv2d(x[::2], packed, bias, False), expected[::2]) < 2e-6
    assert native_conv.upsample_conv2d(x[:0], packed, bias, False).shape == (0, 32, 10, 12)


def test_what_it_does_not_take():
    def supported(kernel, stride=(2, 2), padding=1, activation="relu"):
        return native_conv.supports(kernel, stride, padding, activation, True)

    def kernel(out_channels, channels, size=3):
        return phase_kernel(torch.randn(out_channels, channels, size, size))

    assert supported(kernel(32, 32))
    assert not supported(torch.randn(32, 32, 4, 4))  # no phase kernel: its sums differ
    assert not supported(kernel(32, 32) * torch.nan)
    assert not supported(kernel(32, 32, 5))
    assert not supported(kernel(12, 32))
    assert not supported(kernel(32, 12))
    assert not supported(kernel(32, 32), stride=(1, 1))
    assert not supported(kernel(32, 32), padding=0)
    assert not supported(kernel(32, 32), activation="sigmoid")


def test_which_plain_convolutions_it_takes():
    def supported(weight, stride=(1, 1), padding=1, activation="relu"):
        return native_conv.supports(weight, stride, padding, activation)

    assert supported(torch.randn(32, 64, 3, 3))
    assert supported(torch.randn(32, 64, 3, 3), activation=None)
    assert not supported(torch.randn(32, 32, 5, 5))
    assert not supported(torch.randn(32, 12, 3, 3))
    assert not supported(torch.randn(12, 32, 3, 3))
    assert not supported(torch.full((32, 32, 3, 3), torch.inf))
    assert not supported(torch.randn(32, 32, 3, 3), stride=(2, 2))
    assert not supported(torch.randn(32, 32, 3, 3), padding=0)
    assert not supported(torch.randn(32, 32, 3, 3), activation="sigmoid")


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 4), (4, 3), (7, 16), (15, 17), (18, 31), (40, 5)])
def test_winograd_with_and_without_skip(size, relu, count, threads):
    torch.set_num_threads(count)
    torch.manual_seed(0)
    x, skip = torch.randn(3, 64, *size), torch.randn(3, 96, *size)
    weight, bias = torch.randn(96, 64, 3, 3) / 24, torch.randn(96)
    packed = native_conv.pack(weight)
    expected = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    for layout in (torch.contiguous_format, torch.channels_last):
        got = native_conv.conv2d(x, packed, bias, relu)
        summed = native_conv.conv2d(x, packed, bias, relu, skip.clone(memory_format=layout))
        for y, wanted in ((got, expected), (summed, expected + skip)):
            scale = wanted.abs().max()
            assert y.is_contiguous(memory_format=torch.channels_last)
            assert (y - (wanted.relu() if relu else wanted)).abs().max() < 2e-6 * scale


@pytest.mark.parametrize("channels", [32, 128, 256])
def test_winograd_rounds_like_torch(channels):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, channels, 16, 16), torch.randn(64, channels, 3, 3), torch.randn(64)
    expected = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    theirs = F.conv2d(x, weight, bias, padding=1)
    y = native_conv.conv2d(x, native_conv.pack(weight), bias, False)
    assert (y - expected).abs().max() < 4 * (theirs - expected).abs().max()


def test_a_layer_with_skip_counts_it_once(monkeypatch):
    torch.manual_seed(0)
    x, skip = torch.randn(2, 32, 6, 6), torch.randn(2, 32, 6, 6)
    layer = FastConv2d(torch.randn(32, 32, 3, 3), torch.randn(32), 1, 1, "relu")
    expected = layer(x, skip.clone())
    layer.compile_kernels = True
    for choice in ("torch", "C"):
        monkeypatch.setattr(onednn, "choose", lambda *_, choice=choice, **__: choice)
        assert torch.allclose(layer(x, skip.clone()), expected, atol=1e-4)
    monkeypatch.undo()
    monkeypatch.setattr(autotune, "_chosen", {})
    assert torch.allclose(layer(x, skip.clone()), expected, atol=1e-4)


def test_what_does_not_fit_is_refused_before_memory_is_read():
    x, kernel, bias, _ = example(32, 32, 1, 4, 4)
    packed, upsampling = native_conv.pack(torch.randn(32, 32, 3, 3)), native_conv.pack(kernel, True)
    for call, weights in ((native_conv.conv2d, packed), (native_conv.upsample_conv2d, upsampling)):
        for wrong in (x[:, :16], x.double()):
            with pytest.raises(OfhkitError, match="do not fit"):
                call(wrong, weights, bias, False)
        with pytest.raises(OfhkitError, match="do not fit"):
            call(x, weights, bias[:16], False)
    with pytest.raises(RuntimeError):
        native_conv.conv2d(x, packed, bias, False, torch.zeros(1, 32, 3, 4))
    summed = native_conv.conv2d(x, packed, bias, False, torch.ones(1, 32, 1, 1))
    assert torch.allclose(summed, native_conv.conv2d(x, packed, bias, False) + 1, atol=1e-5)
    with pytest.raises(RuntimeError):
        fast()(x[:, :16])


def test_a_skip_of_another_precision_goes_through_torch():
    x, skip = torch.randn(2, 32, 6, 6), torch.randn(2, 32, 6, 6)
    layer = FastConv2d(torch.randn(32, 32, 3, 3), torch.randn(32), 1, 1, "relu")
    assert layer.runs_compiled(x, skip)
    assert not layer.runs_compiled(x, skip.double())


def fast(compile_kernels=True):
    _, kernel, bias, _ = example(32, 32, 1, 2, 2)
    layer = FastConv2d(kernel, bias, 2, 1, "relu", transposed=True)
    layer.compile_kernels = compile_kernels
    return layer


@pytest.mark.parametrize("private", [True, False])
def test_the_layer_takes_the_faster(private, monkeypatch):
    x, _, _, expected = example(32, 32, 2, 8, 8)
    layer = fast()
    monkeypatch.setattr(onednn, "available", lambda dtype: private)
    monkeypatch.setattr(autotune, "_chosen", {})
    for name, call in layer.cpu_candidates(x).items():
        assert error(call(), expected.relu()) < 2e-6, name
    assert error(layer(x), expected.relu()) < 2e-6
    assert list(autotune._chosen.values()) in (["C"], ["torch"])


def test_a_used_layer_can_be_copied_pickled_and_cast():
    x, _, _, expected = example(32, 32, 2, 8, 8)
    layer = fast()
    layer(x)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert error(other(x), expected.relu()) < 2e-6
    assert error(layer.double()(x.double()), expected.relu()) < 2e-6
    assert error(layer.float()(x), expected.relu()) < 2e-6


def test_gradients_and_other_precisions_go_through_torch():
    x, *_ = example(32, 32, 1, 4, 4)
    layer = fast()
    assert layer.runs_compiled(x)
    assert not layer.runs_compiled(x.requires_grad_())
    assert not layer.runs_compiled(x.detach().double())
    assert not layer.runs_compiled(x.detach().bfloat16())


@pytest.mark.parametrize("switch", ["argument", "variable"])
def test_a_fused_network_with_and_without(switch, monkeypatch):
    torch.manual_seed(0)
    model = ResidualUpsampler((32, 32), (32, 4)).eval()
    x = torch.rand(3, 3, 16, 16)
    with_kernels = fuse(model)
    taken = [m for m in with_kernels.modules() if isinstance(m, FastConv2d) and m._supported]
    assert len(taken) == 6  # all but the first and the last, which are narrow
    if switch == "variable":
        monkeypatch.setenv(jit_c.VARIABLE, "1")
    without = fuse(model, compile_kernels=switch == "variable")
    assert not [m for m in without.modules() if isinstance(m, FastConv2d) and m._supported]
    assert torch.allclose(with_kernels(x), without(x), atol=2e-6)
    exported = torch.export.export(with_kernels, (x,), strict=False).module()
    assert torch.allclose(exported(x), model(x), atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 6)])
@pytest.mark.parametrize("bias", [True, False])
def test_training_runs_it_and_its_gradients_are_those_of_the_phases(size, bias, monkeypatch):
    torch.manual_seed(0)
    x = torch.randn(3, 64, *size, requires_grad=True)
    weight = (torch.randn(32, 64, 3, 3) / 24).requires_grad_()
    shift = torch.randn(32, requires_grad=True) if bias else None
    inputs = [t for t in (x, weight, shift) if t is not None]
    assert native_conv.verified()  # by calls that are not to be counted
    calls = []
    run = native_conv.upsample_conv2d
    monkeypatch.setattr(native_conv, "upsample_conv2d", lambda *a, **k: calls.append(a) or run(*a, **k))
    results = []
    for implementation in ("auto", "phase"):
        y = upsample_conv2d(x, weight, shift, implementation)
        results.append((y, *torch.autograd.grad(y, inputs, torch.ones_like(y))))
    assert len(calls) == 1
    for got, want in zip(*results, strict=True):
        assert (got - want).abs().max() <= 1e-5 * want.abs().max()


def test_the_head_runs_it_in_training_with_its_weights_packed_once(monkeypatch):
    torch.manual_seed(0)
    convs = UpsampleConv2d(32, 32), nn.Conv2d(32, 8, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)
    x = torch.randn(3, 32, 4, 4, requires_grad=True)
    assert native_conv.verified()  # by calls that are not to be counted
    packed = []
    pack = native_conv.pack
    monkeypatch.setattr(native_conv, "pack", lambda kernel, **options: packed.append(kernel) or pack(kernel, **options))
    monkeypatch.setattr(head, "MICRO_BATCH", 1)
    y = upsampling_head(x, *convs)
    assert len(packed) == 1
    with torch.no_grad():
        assert (y - upsampling_head(x, *convs)).abs().max() < 1e-5


@pytest.fixture
def _double_by_default():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_double_by_default")
def test_the_default_precision_does_not_matter():
    native_conv.verified.cache_clear()
    assert native_conv.verified()
    x, kernel, bias, expected = example(32, 32, 2, 8, 8)
    y = native_conv.upsample_conv2d(x.float(), native_conv.pack(kernel, True), bias.float(), False)
    assert y.dtype == torch.float32
    assert error(y, expected) < 2e-6


def test_weights_of_another_precision_go_through_torch():
    x, *_ = example(32, 32, 2, 8, 8)
    assert fast().runs_compiled(x)
    assert not fast().double().runs_compiled(x)
    assert not fast().bfloat16().runs_compiled(x)


def test_a_used_layer_follows_weights_that_are_loaded():
    x, _, _, expected = example(32, 32, 2, 8, 8)
    layer, other = fast(), fast()
    layer.weight.zero_()
    layer(x)
    layer.load_state_dict(other.state_dict())
    assert error(layer(x), expected.relu()) < 2e-6


@pytest.mark.parametrize("implementation", ["auto", "plain"])
def test_what_does_not_fit_is_refused_by_torch(implementation):
    conv = UpsampleConv2d(32, 32, implementation=implementation)
    with pytest.raises(RuntimeError, match="to have 32 channels"):
        conv(torch.randn(1, 64, 4, 4))
    conv.bias.data = conv.bias.data.double()
    with pytest.raises(RuntimeError, match="type"):
        conv(torch.randn(1, 32, 4, 4))


def test_tensors_without_memory_and_recorded_ones_go_through_torch():
    conv, x = UpsampleConv2d(32, 32), torch.randn(1, 32, 4, 4)
    with FakeTensorMode():
        assert UpsampleConv2d(32, 32)(torch.randn(1, 32, 4, 4)).shape == (1, 32, 8, 8)
    recorded = make_fx(conv)(torch.zeros_like(x))
    assert torch.allclose(recorded(x), conv(x), atol=1e-5)
