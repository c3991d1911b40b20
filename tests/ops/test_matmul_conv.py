"""The oracle is torch's own convolution in float64."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ofhkit.ops import MatmulConv2d


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    [(4, 2, 1, (4, 4)), (4, 2, 1, (2, 4)), (3, 1, 1, (2, 2)), (3, 1, 0, (4, 4)), (3, 2, 1, (3, 4)), (2, 1, 0, (2, 3)),
     ((1, 3), (1, 2), (0, 1), (1, 5))],
)  # fmt: skip
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_outputs_and_gradients_on_a_small_map(kernel, stride, padding, size, bias, layout, monkeypatch):
    torch.manual_seed(0)
    conv = MatmulConv2d(5, 7, kernel, stride, padding, bias=bias).double().to(memory_format=layout)
    x = torch.randn(3, 5, *size, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    expected = F.conv2d(x, conv.weight, conv.bias, stride, padding)
    inputs = [x, *conv.parameters()]
    grad = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, inputs, grad)
    monkeypatch.setattr(nn.Conv2d, "forward", lambda *a: pytest.fail("convolved"))
    y = conv(x)
    assert y.shape == expected.shape
    assert (y - expected).abs().max() < 1e-12
    for got, want in zip(torch.autograd.grad(y, inputs, grad), wanted, strict=True):
        assert (got - want).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("options", "size"),
    [(dict(padding=1), 3), (dict(padding=1, groups=2), 2), (dict(padding=1, padding_mode="reflect"), 2),
     (dict(padding="same"), 2), (dict(dilation=2, padding=2), 2)],
)  # fmt: skip
def test_all_else_is_left_to_torch(options, size, monkeypatch):
    conv = MatmulConv2d(4, 4, 3, **options)
    x = torch.randn(2, 4, size, size)
    expected = nn.Conv2d.forward(conv, x)
    monkeypatch.setattr(F, "linear", lambda *a: pytest.fail("multiplied"))
    assert torch.equal(conv(x), expected)


def test_autocast_and_an_empty_batch():
    conv = MatmulConv2d(8, 4, 4, stride=2, padding=1)
    x = torch.randn(2, 8, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x)
    assert y.dtype == torch.bfloat16
    assert torch.allclose(y.float(), nn.Conv2d.forward(conv, x), atol=3e-2)
    assert conv(x[:0]).shape == (0, 4, 2, 2)
