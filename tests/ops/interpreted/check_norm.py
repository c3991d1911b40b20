"""Affine map, batch normalisation, ReLU and x2 against float64 autograd; run by ../test_triton.py."""

import pytest
import torch
import torch.nn.functional as F

from ofhkit.ops import UpsampledBatchNorm2d
from ofhkit.ops.triton_norm import affine_relu_upsample, batch_norm_relu_upsample

SHAPES = [(2, 5, 3, 7), (1, 1, 1, 1), (3, 16, 4, 4), (1, 9, 40, 30)]
WIDE = [(1, 70, 5, 3), (2, 130, 1, 3)]  # several blocks of channels
LAYOUTS = [torch.contiguous_format, torch.channels_last]
# largest error of an output or gradient, relative to its largest value
TOLERANCE = {torch.float32: 3e-6, torch.bfloat16: 1e-2, torch.float16: 2e-3}


def inputs(shape, layout=torch.contiguous_format, dtype=torch.float32):
    generator = torch.Generator().manual_seed(sum(shape))
    x = (3 + 2 * torch.randn(shape, generator=generator)).to(dtype).contiguous(memory_format=layout)
    scale, shift = torch.randn(2, shape[1], generator=generator)
    if shape[1] > 2:
        assert (scale < 0).any()
    return [t.detach().clone(memory_format=torch.preserve_format).requires_grad_() for t in (x, scale, shift)]


def double(tensors):
    return [t.detach().double().requires_grad_() for t in tensors]


def up(x, upsample):
    return F.interpolate(x, scale_factor=2, mode="nearest") if upsample else x


def compare(y, expected, ours, theirs, tolerance):
    grad = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0)).to(y.dtype)
    got = [y, *torch.autograd.grad(y, ours, grad)]
    want = [expected, *torch.autograd.grad(expected, theirs, grad.double())]
    for name, a, b in zip(("y", "x", "weight", "bias"), got, want):
        assert (a.double() - b).abs().max() <= tolerance * b.abs().max().clamp(min=1), name


CASES = [(shape, layout) for shape in SHAPES for layout in LAYOUTS] + [(shape, torch.channels_last) for shape in WIDE]


@pytest.mark.parametrize("upsample", [True, False])
@pytest.mark.parametrize(("shape", "layout"), CASES)
def check_values(shape, layout, upsample):
    for relu in (True, False):
        ours = inputs(shape, layout)
        theirs = double(ours)
        x, scale, shift = theirs
        expected = x * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)
        expected = up(expected.relu() if relu else expected, upsample)
        y = affine_relu_upsample(*ours, relu, upsample)
        assert y.stride() == expected.contiguous(memory_format=layout).stride() or 1 in y.shape
        compare(y, expected, ours, theirs, TOLERANCE[torch.float32])
        theirs = double(ours)
        if shape[0] * shape[2] * shape[3] > 1:
            expected = F.batch_norm(up(theirs[0], upsample), None, None, *theirs[1:], training=True)
            y, mean, var = batch_norm_relu_upsample(*ours, 1e-5, relu, upsample)
            compare(y, expected.relu() if relu else expected, ours, theirs, 10 * TOLERANCE[torch.float32])
            assert torch.allclose(mean.double(), theirs[0].mean((0, 2, 3)), rtol=1e-6)
            assert torch.allclose(var.double(), theirs[0].var((0, 2, 3), correction=0), rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", LAYOUTS)
def check_half_precision(layout, dtype):
    ours = inputs((2, 20, 3, 5), layout, dtype)
    theirs = double(ours)
    y = affine_relu_upsample(*ours, True, True)
    assert y.dtype == dtype
    expected = up((theirs[0] * theirs[1].view(-1, 1, 1) + theirs[2].view(-1, 1, 1)).relu(), True)
    compare(y, expected, ours, theirs, TOLERANCE[dtype])
    theirs = double(ours)
    y, _, _ = batch_norm_relu_upsample(*ours, 1e-5, False, True)
    compare(
        y, up(F.batch_norm(theirs[0], None, None, *theirs[1:], training=True), True), ours, theirs, TOLERANCE[dtype]
    )


def check_empty():
    ours = inputs((0, 5, 3, 7))
    y = affine_relu_upsample(*ours, True, True)
    assert y.shape == (0, 5, 6, 14)
    assert all(grad.abs().sum() == 0 for grad in torch.autograd.grad(y.sum(), ours))


def check_nan():
    x, scale, shift = inputs((1, 3, 2, 2))
    with torch.no_grad():
        x[0, 1, 0, 0] = float("nan")
    y = affine_relu_upsample(x, scale, shift, True, True)
    assert y.isnan().sum() == 4
    assert y[0, 1, :2, :2].isnan().all()


def check_a_large_mean_costs_no_digits():
    x = 1000 + torch.randn(4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    _, _, var = batch_norm_relu_upsample(x, torch.ones(3), torch.zeros(3), 1e-5, False, False)
    assert torch.allclose(var.double(), x.double().var((0, 2, 3), correction=0), rtol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def check_opcheck(layout):
    ours = inputs((2, 5, 3, 4), layout)
    torch.library.opcheck(affine_relu_upsample, (*ours, True, True))
    torch.library.opcheck(batch_norm_relu_upsample, (*ours, 1e-5, True, True))


def check_compile_in_one_graph():
    ours = inputs((2, 5, 3, 4), torch.channels_last)
    compiled = torch.compile(lambda *t: affine_relu_upsample(*t, True, True) * 2, fullgraph=True, backend="aot_eager")
    y, expected = compiled(*ours), affine_relu_upsample(*ours, True, True) * 2
    grads = [torch.autograd.grad(t.square().sum(), ours) for t in (y, expected)]
    assert torch.equal(y, expected)
    assert all(torch.allclose(a, b) for a, b in zip(*grads))


@pytest.mark.parametrize("momentum", [0.1, None])
def check_the_module_keeps_the_plain_modules_statistics(momentum):
    plain = torch.nn.BatchNorm2d(5, momentum=momentum)
    ours = UpsampledBatchNorm2d(5, momentum=momentum, implementation="triton")
    for step in range(3):
        x = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(step))
        assert torch.allclose(up(ours(x), True), plain(up(x, True)), atol=1e-5)
    for key, value in plain.state_dict().items():
        assert torch.allclose(ours.state_dict()[key], value, atol=1e-6), key
    plain.eval(), ours.eval()
    assert torch.allclose(up(ours(x), True), plain(up(x, True)), atol=1e-5)
