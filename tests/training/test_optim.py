"""Mixed precision on a CPU, and schedules that scale with the budget."""

from pathlib import Path

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from ofhkit.config import load_config
from ofhkit.errors import OfhkitError
from ofhkit.runtime.devices import amp_dtype
from ofhkit.training.loop import _outline
from ofhkit.training.optim import (
    Wrapper,
    build_optimizer,
    build_schedulers,
    scale_schedule,
)


def test_mixed_precision_trains_on_a_cpu_and_resumes():
    torch.manual_seed(0)
    net = nn.Conv2d(3, 4, 3)
    optimizer = build_optimizer(net.parameters(), dict(type="Adam", lr=1e-3))
    wrapper = Wrapper(optimizer, dict(max_norm=1.0), torch.device("cpu"), torch.bfloat16)
    before = net.weight.detach().clone()
    with wrapper.optim_context(net):
        out = net(torch.rand(2, 3, 8, 8))
    assert out.dtype == torch.bfloat16
    wrapper.update_params(out.float().square().mean())
    assert (net.weight - before).abs().max().item() == pytest.approx(1e-3, rel=1e-3)  # Adam's first step
    state = wrapper.state_dict()
    wrapper.load_state_dict(state)
    assert wrapper.get_lr() == {"lr": [1e-3]}
    plain = Wrapper(build_optimizer(net.parameters(), dict(type="Adam", lr=1.0)), None, torch.device("cpu"), None)
    plain.load_state_dict(state)  # the run goes on without --amp, and with it again
    assert plain.get_lr() == {"lr": [1e-3]}
    wrapper.load_state_dict(plain.state_dict())
    assert wrapper.optimizer.state[net.weight]["step"] == 1
    assert _outline(plain.state_dict()) == _outline(wrapper.state_dict()) == [2]


def test_a_device_says_in_one_line_what_it_does():
    dtype, line = amp_dtype(torch.device("cpu"))
    assert line.startswith("AMP: ")
    assert (dtype is None) == ("float32" in line)


def test_schedules_follow_the_budget():
    net = nn.Linear(2, 2)
    wrapper = Wrapper(torch.optim.SGD(net.parameters(), 1.0), None, torch.device("cpu"), None)
    (step,) = scale_schedule(dict(type="MultiStepLR", milestones=[100, 200], gamma=0.1), budget=0.02, iterations=6)
    (scheduler,) = build_schedulers([step], wrapper)
    rates = []
    for _ in range(5):
        wrapper.update_params(net(torch.ones(1, 2)).sum())
        scheduler.step()
        rates.append(round(wrapper.get_lr()["lr"][0], 4))
    assert rates == [1.0, 0.1, 0.1, 0.01, 0.01]


def test_wrong_names_are_answered():
    with pytest.raises(OfhkitError, match="did you mean 'RMSprop'"):
        build_optimizer(nn.Linear(1, 1).parameters(), dict(type="RMSprp"))
    with pytest.raises(OfhkitError, match="no parameters to train"):
        build_optimizer([], dict(type="Adam"))


@pytest.mark.parametrize("budget", [1e-4, 0.01, 1.0, 3.0])
def test_short_budgets_leave_every_phase_an_iteration(budget):
    phases = [dict(type="ConstantLR", factor=0.1, begin=begin, end=begin + 10) for begin in (0, 10)]
    phases.append(dict(type="ConstantLR", factor=0.5, begin=0, end=30, scaled=False))
    scaled = scale_schedule(phases, budget, 5)
    assert scaled[0]["begin"] == 0
    assert all(phase["begin"] < phase["end"] for phase in scaled)
    assert scaled[2] == dict(type="ConstantLR", factor=0.5, begin=0, end=30, by_epoch=False)
    build_schedulers(scaled, OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)))


@pytest.mark.parametrize("config", sorted((Path(__file__).parents[2] / "configs").glob("*_celeba.py")), ids=str)
def test_every_method_can_be_trained_at_any_budget(config):
    for step in load_config(config).stages.values():
        if "iterations" in step:
            for budget in (1e-5, 0.01):
                iterations = max(1, round(step.iterations * budget))
                schedule = scale_schedule(step.get("schedule"), budget, iterations)
                build_schedulers(schedule, OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)))
