"""Muon for convolutions."""

import copy

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.training.muon import ConvMuon, orthogonalise
from ofhkit.training.optim import build_optimizer, build_schedulers, check_training, scale_schedule


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3), nn.ReLU(), nn.Conv2d(8, 32, 3), nn.Conv2d(32, 3, 3)
    )


def step(net, optimizer, x):
    optimizer.zero_grad()
    (net(x) - 0.3).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 16)])
def test_all_directions_of_an_update_are_alike(shape):
    torch.manual_seed(0)
    wild = torch.randn(shape) @ torch.diag(torch.logspace(-1, 1, shape[1]))
    values = torch.linalg.svdvals(orthogonalise(wild))
    assert values.max() < 1.3
    assert (values > 0.3).float().mean() > 0.85
    left, _, right = torch.linalg.svd(wild, full_matrices=False)
    assert ((left @ right) * orthogonalise(wild)).sum() / len(values) > 0.7  # it is the nearest such matrix, nearly


def test_hidden_kernels_go_by_muon_and_the_rest_by_adam():
    net = network()
    optimizer = ConvMuon(net.parameters(), lr=0.01, adam_lr=0.1)
    kernels = {id(p) for p in optimizer.param_groups[0]["params"]}
    assert kernels == {id(net[2].weight), id(net[4].weight)}
    twin = copy.deepcopy(net)
    adam = torch.optim.Adam([p for p in twin.parameters() if p.ndim == 1 or min(p.shape[:2]) < 8], 1e-3, (0.9, 0.99))
    before, x = copy.deepcopy(net.state_dict()), torch.rand(4, 3, 12, 12)
    step(net, optimizer, x)
    step(twin, adam, x)
    torch.testing.assert_close(net[0].weight, twin[0].weight)
    torch.testing.assert_close(net[5].bias, twin[5].bias)
    change = (net[4].weight - before["4.weight"]).square().mean().sqrt().item()
    assert 0.3 * 0.2 * 0.01 < change < 1.2 * 0.2 * 0.01  # less where a gradient lacks directions


def test_it_learns_and_resumes_exactly():
    net, x = network(), torch.rand(4, 3, 12, 12)
    optimizer = build_optimizer(net.parameters(), dict(type="ConvMuon", lr=0.01))
    first = (net(x) - 0.3).square().mean()
    for _ in range(20):
        step(net, optimizer, x)
    assert (net(x) - 0.3).square().mean() < 0.1 * first
    twin = copy.deepcopy(net)
    resumed = build_optimizer(twin.parameters(), dict(type="ConvMuon", lr=0.01))
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for n, o in ((net, optimizer), (twin, resumed)):
        step(n, o, x)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), twin.parameters()))


def test_a_schedule_scales_both_rates_and_mistakes_are_named():
    wrapper = OptimWrapper(build_optimizer(network().parameters(), dict(type="ConvMuon", lr=0.02, adam_lr=0.5)))
    (schedule,) = build_schedulers(scale_schedule(dict(type="CosineAnnealingLR", eta_min=0), 1, 10), wrapper)
    wrapper.optimizer.step()
    for _ in range(5):
        schedule.step()
    assert wrapper.get_lr()["lr"] == pytest.approx([0.01, 0.005])
    with pytest.raises(OfhkitError, match=r"'ConvMuon'.*0 <= momentum < 1"):
        check_training([dict(type="ConvMuon", momentum=1.5)], None, 10)
