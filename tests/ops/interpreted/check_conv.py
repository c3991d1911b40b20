"""Phase, nine-product and head kernels against float64 torch; run by ../test_triton.py."""

import pytest
import torch
import torch.nn.functional as F

from ofhkit.ops import FastConv2d, FusedHead, UpsampleConv2d, fold, triton_conv
from ofhkit.ops.layouts import phase_kernel
from ofhkit.ops.triton_conv import upsample_conv2d, upsample_conv2d_packed
from ofhkit.ops.triton_head import head

SHAPES = [(1, 1, 1, 1, 1), (2, 5, 3, 3, 7), (1, 40, 20, 4, 5), (1, 70, 66, 2, 3)]  # N, C, O, H, W
TOLERANCE = {torch.float32: 3e-6, torch.bfloat16: 1.5e-2, torch.float16: 3e-3}


def make(shape, k, dtype=torch.float32, layout=torch.contiguous_format):
    n, c, o, h, w = shape
    generator = torch.Generator().manual_seed(c + k)
    tensors = [torch.randn(size, generator=generator).to(dtype) for size in ((n, c, h, w), (o, c, k, k), (o,))]
    tensors[0] = tensors[0].contiguous(memory_format=layout)
    return [t.requires_grad_() for t in tensors]


def oracle(x, weight, bias):
    return F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), weight, bias, padding=weight.shape[-1] // 2)


@pytest.mark.parametrize(("k", "nine"), [(3, False), (3, True), (5, False), (7, False), (9, False)])
@pytest.mark.parametrize("shape", SHAPES)
def check_output_and_gradients(shape, k, nine):
    for dtype, tolerance in TOLERANCE.items():
        if dtype != torch.float32 and (k > 5 or shape[1] > 40):
            continue
        ours = make(shape, k, dtype)
        theirs = [t.detach().double().requires_grad_() for t in ours]
        expected = oracle(*theirs)
        y = upsample_conv2d(*ours, nine)
        assert y.dtype == dtype
        assert y.is_contiguous(memory_format=torch.channels_last)
        grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(0)).to(dtype)
        got = [y, *torch.autograd.grad(y, ours, grad)]
        want = [expected, *torch.autograd.grad(expected, theirs, grad.double())]
        for a, b in zip(got, want):
            assert (a.double() - b).abs().max() <= tolerance * b.abs().max().clamp(min=1)


@pytest.mark.parametrize("nine", [False, True])
def check_packed_with_activation(nine):
    x, weight, bias = (t.detach() for t in make((2, 5, 3, 3, 4), 3, layout=torch.channels_last))
    packed = triton_conv.pack(weight, nine)
    for name, kind in triton_conv.ACTIVATIONS.items():
        expected = oracle(x, weight, bias)
        expected = getattr(torch, name)(expected) if name else expected
        assert torch.allclose(upsample_conv2d_packed(x, packed, bias, 3, nine, kind), expected, atol=1e-5)


def check_empty_and_nan():
    x, weight, bias = (t.detach() for t in make((1, 3, 2, 3, 3), 3))
    assert upsample_conv2d(x[:0], weight, bias, False).shape == (0, 2, 6, 6)
    x[0, 0, 0, 0] = float("nan")
    assert upsample_conv2d(x, weight, bias, False).isnan().equal(oracle(x, weight, bias).isnan())


def check_partial_gradients_and_no_bias():
    x, weight, _ = make((1, 3, 2, 3, 3), 3)
    for wanted in ([x], [weight]):
        others = [t if t is wanted[0] else t.detach() for t in (x, weight)]
        got = torch.autograd.grad(upsample_conv2d(*others, None, False).sum(), wanted)
        assert torch.allclose(got[0], torch.autograd.grad(oracle(*others, None).sum(), wanted)[0], atol=1e-4)


@pytest.mark.parametrize("nine", [False, True])
def check_opcheck(nine):
    x, weight, bias = make((2, 3, 4, 3, 2), 3, layout=torch.channels_last)
    torch.library.opcheck(upsample_conv2d, (x, weight, bias, nine))
    torch.library.opcheck(upsample_conv2d, (x, weight, None, nine))
    packed = triton_conv.pack(weight.detach(), nine)
    torch.library.opcheck(upsample_conv2d_packed, (x.detach(), packed, bias.detach(), 3, nine, 1))


def check_the_module_chooses_it_and_compiles():
    x = torch.rand(1, 3, 3, 4, requires_grad=True)
    for implementation in ("triton", "nine"):
        module = UpsampleConv2d(3, 4, 3, implementation=implementation)
        y = torch.compile(module, fullgraph=True, backend="aot_eager")(x)
        expected = oracle(x, module.weight, module.bias)
        assert torch.allclose(y, expected, atol=1e-5)
        assert torch.allclose(*(torch.autograd.grad(t.square().sum(), x)[0] for t in (y, expected)), atol=1e-4)
        with torch.autocast("cpu", torch.bfloat16):
            assert module(x).dtype == torch.bfloat16


@pytest.mark.parametrize("size", [(1, 1, 1, 1, 1), (2, 5, 4, 9, 7), (1, 64, 32, 8, 33)])
def check_head(size):
    n, c, m, h, w = size
    generator = torch.Generator().manual_seed(c)
    shapes = ((n, c, h, w), (m, c, 3, 3), (m,), (3, m, 3, 3), (3,))
    x, w1, b1, w2, b2 = (torch.randn(shape, generator=generator) for shape in shapes)
    arguments = (x, w1 / (3 * c**0.5), b1, w2 / (3 * m**0.5), b2)
    x, w1, b1, w2, b2 = (t.double() for t in arguments)
    expected = torch.sigmoid(F.conv2d(F.conv2d(x, w1, b1, padding=1).relu(), w2, b2, padding=1))
    assert (head(*arguments) - expected).abs().max() < 1e-6
    half = head(*(t.bfloat16() for t in arguments))
    assert (half - expected).abs().max() < 2e-2
    assert head(*(t[:0] if t is arguments[0] else t for t in arguments)).shape == (0, 3, h, w)
    torch.library.opcheck(head, arguments)


@pytest.mark.parametrize("k", [3, 5])
def check_the_fused_layers_ways_on_a_gpu_agree(k):
    x, weight, bias = (t.detach() for t in make((2, 5, 3, 3, 4), k, layout=torch.channels_last))
    layer = FastConv2d(phase_kernel(weight), bias, 2, k // 2, "relu", transposed=True)
    calls = layer.candidates(x)
    assert list(calls) == ["torch", "enlarged", "triton", *(["nine"] if k == 3 else [])]
    for call in calls.values():
        assert torch.allclose(call(), oracle(x, weight, bias).relu(), atol=1e-5)
    for nine in (False, True) if k == 3 else (False,):
        assert torch.allclose(triton_conv.repack(phase_kernel(weight), nine), triton_conv.pack(weight, nine), atol=1e-6)


def check_the_fused_heads_ways_on_a_gpu_agree():
    x = torch.randn(2, 5, 4, 3, generator=torch.Generator().manual_seed(0))
    convs = [torch.nn.Conv2d(5, 4, 3, padding=1), torch.nn.Conv2d(4, 3, 3, padding=1)]
    expected = torch.sigmoid(convs[1](convs[0](x).relu()))
    calls = FusedHead(fold(convs[0], activation="relu"), fold(convs[1], activation="sigmoid")).candidates(x)
    assert list(calls) == ["torch", "triton"]
    assert all(torch.allclose(call(), expected, atol=1e-5) for call in calls.values())
