"""Nearest x2, BatchNorm, ReLU and the convolutions behind, in every way, against float64; run by ../test_triton.py."""

import copy

import pytest
import torch
from torch import nn

from ofhkit.models.inpainters.encoder_decoder import EncoderDecoder
from ofhkit.models.upsamplers.residual import ResidualUpsampler
from ofhkit.ops import (
    FusedDecoderBlock,
    UpsampleConv2d,
    UpsampledBatchNorm2d,
    autotune,
    norm_relu_upsample,
    norm_upsample,
    set_implementation,
    triton_norm,
    upsample_conv,
)

WAYS = ["phase", "enlarged", "triton", "nine"]


def layers(skip):
    torch.manual_seed(0)
    norm, conv = UpsampledBatchNorm2d(5), UpsampleConv2d(5, 6, 3)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return nn.ModuleList([norm, conv, nn.Conv2d(5, 3, 1) if skip == "projection" else nn.Identity()])


def randomise(network):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network


def compare(ours, plain, inputs, call, tolerance=1e-5):
    """Outputs, gradients of inputs and weights, and statistics, beside the plain network's in float64."""
    given = [x.clone().requires_grad_() for x in inputs]
    exact = [x.detach().double().requires_grad_() for x in inputs]
    got, want = call(ours, *given), call(plain, *exact)
    for y, z in zip(got, want, strict=True):
        assert (y - z).abs().max() <= tolerance * z.abs().max().clamp(min=1)
    if ours.training:
        grads = [torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) for y in want]
        ours_of, plain_of = [*given, *ours.parameters()], [*exact, *plain.parameters()]
        got = torch.autograd.grad(got, ours_of, [g.float() for g in grads])
        want = torch.autograd.grad(want, plain_of, grads)
        scale = max(z.abs().max() for z in want)
        for y, z in zip(got, want, strict=True):
            assert (y - z).abs().max() <= 10 * tolerance * scale
    for key, value in plain.state_dict().items():
        assert torch.allclose(ours.state_dict()[key].double(), value.double(), rtol=1e-5, atol=1e-5), key


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("skip", ["identity", "projection"])
@pytest.mark.parametrize("way", WAYS)
def check_outputs_gradients_and_statistics(way, skip, training):
    ours = layers(skip).train(training)
    plain = set_implementation(copy.deepcopy(ours).double(), "plain")
    x = torch.randn(2, 5, 3, 4).contiguous(memory_format=torch.channels_last)
    compare(set_implementation(ours, way), plain, [x], lambda net, x: norm_relu_upsample(x, *net))


@pytest.mark.parametrize("way", WAYS)
def check_whole_networks(way):
    torch.manual_seed(0)
    lr, mask = torch.rand(2, 3, 8, 8), torch.zeros(2, 1, 8, 8)
    for network, inputs in ((ResidualUpsampler((6, 5), (4, 3)), [lr]), (EncoderDecoder((4, 4, 4, 4), (4, 5, 4)), [lr])):
        ours = randomise(network).train()
        plain = set_implementation(copy.deepcopy(ours).double(), "plain")
        more = (mask,) if isinstance(network, EncoderDecoder) else ()
        compare(set_implementation(ours, way), plain, inputs, lambda net, x, more=more: (net(x, *more),), 5e-5)


@pytest.fixture
def kernels_asked_for(monkeypatch):
    """How the kernels of the normalisation are called: (relu, upsample)."""
    calls = []
    for name in ("affine_relu_upsample", "batch_norm_relu_upsample"):
        run = getattr(triton_norm, name)
        monkeypatch.setattr(triton_norm, name, lambda *a, run=run: calls.append(a[-2:]) or run(*a))
    return calls


@pytest.mark.parametrize(("way", "expected"), [("phase", None), ("enlarged", (True, True)), ("triton", (True, False))])
def check_auto_takes_the_fastest_and_its_trials_are_no_steps(way, expected, monkeypatch, kernels_asked_for):
    for module in (norm_upsample, upsample_conv):
        monkeypatch.setattr(module, "may_measure", lambda x: True)  # as on CUDA
    monkeypatch.setattr(autotune, "_chosen", {})
    monkeypatch.setattr(autotune, "_time", lambda call, rounds: float(call.args[0] != way))
    ours = layers("projection").train()
    plain = set_implementation(copy.deepcopy(ours).double(), "plain")
    for step in range(2):
        kernels_asked_for.clear()
        x = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(step))
        compare(ours, plain, [x], lambda net, x: norm_relu_upsample(x, *net))
    assert kernels_asked_for == ([] if expected is None else [expected])  # the second step measures no more
    assert list(autotune._chosen.values()) == [way]


@pytest.mark.parametrize("training", [True, False])
def check_auto_chooses_for_a_convolution_alone(training, monkeypatch):
    monkeypatch.setattr(upsample_conv, "may_measure", lambda x: True)
    monkeypatch.setattr(autotune, "_chosen", {})
    monkeypatch.setattr(autotune, "_time", lambda call, rounds: float(call.args[0] != "nine"))
    ours = layers("identity")[1].train(training)
    plain = set_implementation(copy.deepcopy(ours).double(), "plain")
    with torch.set_grad_enabled(training):
        compare(ours, plain, [torch.randn(1, 5, 4, 3)], lambda net, x: (net(x),))
    assert list(autotune._chosen.values()) == ["nine"]


def check_the_fused_decoder_blocks_ways_agree(kernels_asked_for):
    block = nn.Module()
    block.bn1, block.conv, block.bn2 = UpsampledBatchNorm2d(5), UpsampleConv2d(5, 4, 3, bias=False), nn.BatchNorm2d(4)
    randomise(block).eval()
    twin = FusedDecoderBlock(block)
    x = torch.randn(2, 5, 3, 4)
    with torch.no_grad():
        expected = block.bn2(norm_relu_upsample(x, block.bn1, block.conv)[0]).relu()
        calls = twin.candidates(x)
        assert list(calls) == ["torch", "enlarged", "triton", "nine"]
        for name, call in calls.items():
            assert torch.allclose(call(), expected, atol=1e-5), name
    assert kernels_asked_for == [(True, True), (True, False), (True, False)]
