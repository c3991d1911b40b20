"""The oracle is the plain chain, differentiated by autograd in float64."""

import pytest
import torch
import torch.nn.functional as F
import torch.nn.utils.prune
from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.ops import UpsampleConv2d, head, upsampling_head


def make(widths=(5, 6, 4, 3), dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    a, b, c, d = widths
    convs = UpsampleConv2d(a, b), nn.Conv2d(b, c, 3, padding=1), nn.Conv2d(c, d, 3, padding=1)
    return [conv.to(dtype) for conv in convs]


def oracle(x, conv1, conv2, conv3):
    x = F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), conv1.weight, conv1.bias, padding=1)
    return torch.sigmoid(conv3(F.relu(conv2(F.relu(x)))))


def parameters(convs):
    return [p for conv in convs for p in conv.parameters()]


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (3, 5), (8, 8)])
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("images", [1, 2, 16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_outputs_and_all_gradients_equal_the_plain_chain(size, count, images, layout, monkeypatch):
    monkeypatch.setattr(head, "MICRO_BATCH", images * 4 * size[0] * size[1] * 6)
    convs = make()
    x = torch.randn(count, 5, *size, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    y, expected = upsampling_head(x, *convs), oracle(x, *convs)
    assert type(y.grad_fn).__name__ == "_HeadBackward"
    assert (y - expected).abs().max() < 1e-12
    grad = torch.randn_like(expected)
    inputs = [x, *parameters(convs)]
    wanted = torch.autograd.grad(expected, inputs, grad)
    for got, want in zip(torch.autograd.grad(y, inputs, grad), wanted, strict=True):
        assert (got - want).abs().max() < 1e-12 * max(1, want.abs().max())


def test_a_map_that_needs_no_gradient_gets_none():
    convs = make()
    x = torch.randn(2, 5, 4, 4, dtype=torch.float64)
    upsampling_head(x, *convs).sum().backward()
    got = [p.grad.clone() for p in parameters(convs)]
    for conv in convs:
        conv.zero_grad()
    oracle(x, *convs).sum().backward()
    assert all(torch.allclose(a, p.grad, rtol=0, atol=1e-12) for a, p in zip(got, parameters(convs), strict=True))


@pytest.mark.parametrize("name", ["plain", "triton", "nine"])
def test_other_implementations_run_as_a_chain(name):
    convs = make()
    convs[0].implementation = name
    x = torch.randn(2, 5, 4, 4, dtype=torch.float64, requires_grad=True)
    y = upsampling_head(x, *convs)
    assert type(y.grad_fn).__name__ == "SigmoidBackward0"
    assert (y - oracle(x, *convs)).abs().max() < 1e-12


def test_without_gradients_and_without_images():
    convs = make()
    with torch.no_grad():
        x = torch.randn(2, 5, 4, 4, dtype=torch.float64)
        assert (upsampling_head(x, *convs) - oracle(x, *convs)).abs().max() < 1e-12
    assert upsampling_head(x[:0], *convs).shape == (0, 3, 8, 8)


def errors_in_bfloat16(chain, inputs, convs, exact, grad, wanted):
    """Relative errors of the output and of all gradients."""
    with torch.autocast("cpu", torch.bfloat16):
        y = chain(inputs[0], *convs)
    assert y.dtype == torch.bfloat16
    got = torch.autograd.grad(y, inputs, grad.bfloat16())
    assert all(g.dtype == torch.float32 for g in got)
    pairs = zip([y, *got], [exact, *wanted], strict=True)
    return torch.stack([(g - want).norm() / want.norm() for g, want in pairs]).detach()


def test_autocast_is_as_near_to_float32_as_the_plain_chain_is_and_its_gradients_are_float32(monkeypatch):
    """A rounded sum that changes sign switches its ReLU, so one draw's errors scatter twofold: 16 draws are pooled."""
    monkeypatch.setattr(head, "MICRO_BATCH", 1)
    squares = []
    for seed in range(16):
        convs = make((16, 16, 8, 3), torch.float32, seed)
        x = torch.randn(4, 16, 8, 8, requires_grad=True)
        inputs = [x, *parameters(convs)]
        exact = oracle(x, *convs)
        grad = torch.randn_like(exact)
        given = inputs, convs, exact, grad, torch.autograd.grad(exact, inputs, grad)
        squares.append(torch.stack([errors_in_bfloat16(chain, *given) for chain in (upsampling_head, oracle)]).square())
    ours, plain = torch.stack(squares).mean(0).sqrt()
    assert (ours < 1.5 * plain).all()  # the phase kernel is one rounding more; a pool still scatters a little


def test_a_second_derivative_is_refused_or_right():
    convs = make()
    x = torch.randn(2, 5, 4, 4, dtype=torch.float64, requires_grad=True)
    with pytest.raises(OfhkitError, match="no second derivative"):
        torch.autograd.grad(upsampling_head(x, *convs).sum(), x, create_graph=True)
    convs[0].implementation = "plain"
    penalties = []
    for chain in (upsampling_head, oracle):
        (slope,) = torch.autograd.grad(chain(x, *convs).sum(), x, create_graph=True)
        penalties.append(torch.autograd.grad(slope.square().sum(), [x, *parameters(convs)]))
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(*penalties, strict=True))


@pytest.mark.parametrize("which", [0, 1, 2])
def test_hooks_are_called(which):
    convs, seen = make(), []
    x = torch.randn(2, 5, 4, 4, dtype=torch.float64, requires_grad=True)
    convs[which].register_forward_hook(lambda *_: seen.append(which))
    y = upsampling_head(x, *convs)
    assert seen == [which]
    assert (y - oracle(x, *convs)).abs().max() < 1e-12


def test_pruned_weights_follow_their_originals():
    convs = make()
    nn.utils.prune.l1_unstructured(convs[1], "weight", 0.5)
    x = torch.randn(2, 5, 4, 4, dtype=torch.float64, requires_grad=True)
    for _ in range(2):
        y = upsampling_head(x, *convs)
        y.sum().backward()
        assert (y - oracle(x, *convs)).abs().max() < 1e-12
        convs[1].weight_orig.data.mul_(2)
