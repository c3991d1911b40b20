"""The oracle is nn.BatchNorm2d on the upsampled map, in float64."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ofhkit.ops.norm_upsample import UpsampledBatchNorm2d, upsampled_batch_norm


def up(x):
    return F.interpolate(x, scale_factor=2, mode="nearest")


def pair(channels=3, **options):
    """The plain module and ours, with the same random (partly negative) parameters."""
    plain = nn.BatchNorm2d(channels, **options).double()
    ours = UpsampledBatchNorm2d(channels, **options).double()
    torch.manual_seed(1)
    if plain.affine:
        nn.init.normal_(plain.weight)
        nn.init.normal_(plain.bias)
    ours.load_state_dict(copy.deepcopy(plain.state_dict()))
    return plain, ours


@pytest.mark.parametrize("implementation", ["auto", "plain"])
@pytest.mark.parametrize("momentum", [0.1, 1.0, None])
@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 3, 1, 1), (4, 3, 5, 2)])
def test_several_training_steps_equal_the_plain_module(shape, momentum, implementation):
    plain, ours = pair(momentum=momentum)
    ours.implementation = implementation
    for step in range(4):
        torch.manual_seed(step)
        x = (3 * torch.randn(shape, dtype=torch.float64) + 2).requires_grad_()
        weights = torch.randn(*shape[:2], 2 * shape[2], 2 * shape[3], dtype=torch.float64)
        results = []
        for y, module in ((F.relu(plain(up(x))), plain), (up(F.relu(ours(x))), ours)):
            results.append((y, *torch.autograd.grad(y, [x, module.weight, module.bias], weights)))
        for got, want in zip(results[1], results[0]):
            assert (got - want).abs().max() < 1e-10
        for key, want in plain.state_dict().items():
            assert torch.allclose(ours.state_dict()[key], want, rtol=1e-13, atol=1e-13), key
    plain.eval(), ours.eval()
    assert torch.allclose(up(ours(x)), plain(up(x)), atol=1e-12, rtol=0)


def test_the_correction_is_seen():
    """Without the count's correction the running variance would be that of the small map."""
    x = torch.randn(1, 3, 1, 2, dtype=torch.float64)
    _, ours = pair(momentum=1.0)
    small = nn.BatchNorm2d(3, momentum=1.0).double()
    ours(x), small(x)
    ratio = ours.running_var / small.running_var
    assert torch.allclose(ratio, torch.full_like(ratio, (8 / 7) / (2 / 1)))


def test_two_forwards_before_one_backward():
    """The running statistics may be updated again while the first graph waits for its backward pass."""
    plain, ours = pair()
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    grads = []
    for module, change in ((plain, up), (ours, nn.Identity())):
        (module(change(x)).pow(3).mean() + module(change(x + 1)).pow(3).mean()).backward()
        grads.append(module.weight.grad)
    assert torch.allclose(*grads, atol=1e-12, rtol=0)


@pytest.mark.parametrize("options", [dict(affine=False), dict(track_running_stats=False), dict(eps=0.1)])
def test_options(options):
    plain, ours = pair(**options)
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    for mode in (True, False):
        plain.train(mode), ours.train(mode)
        assert torch.allclose(up(ours(x)), plain(up(x)), atol=1e-12, rtol=0)
    assert ours.state_dict().keys() == plain.state_dict().keys()


def test_eval_leaves_the_statistics_alone():
    _, ours = pair()
    ours.eval()
    before = copy.deepcopy(ours.state_dict())
    ours(torch.randn(2, 3, 4, 4, dtype=torch.float64))
    assert all(torch.equal(before[key], value) for key, value in ours.state_dict().items())


def test_function_without_running_statistics():
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    expected = F.batch_norm(up(x), None, None, training=True)
    assert torch.allclose(up(upsampled_batch_norm(x, None, None, training=True)), expected, atol=1e-12, rtol=0)


def test_wrong_rank_is_refused():
    with pytest.raises(ValueError, match="4D"):
        UpsampledBatchNorm2d(3)(torch.rand(2, 3))


def test_no_images_leave_the_statistics_alone():
    plain, ours = pair()
    x = torch.randn(0, 3, 2, 2, dtype=torch.float64)
    assert up(ours(x)).shape == plain(up(x)).shape
    assert torch.equal(ours.running_mean, plain.running_mean)
    assert torch.equal(ours.running_var, plain.running_var)
