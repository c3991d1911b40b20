"""Where and how fast: what is set, and that results stay."""

import pytest
import torch
from torch import nn

from ofhkit.runtime.devices import set_tf32
from ofhkit.training.loop import compile_networks
from ofhkit.training.optim import build_optimizer
from ofhkit.training.sync_layers import GlobalDropout


def trained(kernel: str) -> torch.Tensor:
    torch.manual_seed(0)
    net = nn.Linear(5, 3).double()
    optimizer = build_optimizer(net.parameters(), dict(type="Adam", lr=0.1), kernel)
    for _ in range(5):
        net(torch.ones(2, 5, dtype=torch.float64)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return net.weight.detach()


@pytest.mark.parametrize("kernel", ["fused", "foreach", "loop"])
def test_every_kernel_computes_the_same_step(kernel):
    torch.testing.assert_close(trained(kernel), trained("torch"), rtol=1e-12, atol=1e-12)


def test_a_kernel_is_chosen_where_the_optimizer_has_it_and_nothing_else_is_said():
    parameters = [nn.Parameter(torch.zeros(2))]
    assert build_optimizer(parameters, dict(type="Adam", lr=1.0), "fused").defaults["fused"] is True
    assert build_optimizer(parameters, dict(type="Adam", lr=1.0, foreach=True), "fused").defaults["fused"] is None
    assert build_optimizer(parameters, dict(type="Adam", lr=1.0), "loop").defaults["foreach"] is False
    assert "fused" not in build_optimizer(parameters, dict(type="RMSprop", lr=1.0), "fused").defaults


def test_tf32_is_left_alone_unless_set(monkeypatch):
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    set_tf32(None)
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before
    try:
        set_tf32(True)
        assert torch.backends.cuda.matmul.allow_tf32
        set_tf32(False)
        assert not torch.backends.cudnn.allow_tf32
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def test_each_network_is_compiled_and_keeps_its_names(monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    drawing = nn.Sequential(nn.Conv2d(3, 1, 1), GlobalDropout(0.5))
    networks = [nn.Conv2d(3, 3, 1), drawing]
    names = list(drawing.state_dict())
    compile_networks(networks)
    assert list(drawing.state_dict()) == names
    assert compiled == networks
    assert drawing[1].forward._torchdynamo_disable  # what inductor draws is something else
