"""The oracle is the loss of the whole batch, differentiated by autograd."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.models.losses.semantic_structure import micro_batched_loss


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)).double()


@pytest.mark.parametrize("micro_batch", [1, 2, 5, 100])
def test_value_and_gradient_equal_those_of_the_whole_batch(network, micro_batch):
    x = torch.randn(5, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    target = torch.randn(5, 5, dtype=torch.float64)

    def loss(x, part):
        return F.mse_loss(network(x), target[part], reduction="sum")

    value = micro_batched_loss(loss, x, micro_batch) / target.numel()
    expected = F.mse_loss(network(x), target)
    assert abs(value - expected) < 1e-12
    (wanted,) = torch.autograd.grad(3 * expected, x)
    (got,) = torch.autograd.grad(3 * value, x)
    assert (got - wanted).abs().max() < 1e-14


def test_only_the_batch_receives_a_gradient_and_seldom_more_than_a_few_images_are_seen(network):
    seen = []
    x = torch.randn(5, 3, 8, 8, dtype=torch.float64, requires_grad=True)

    def loss(x, part):
        seen.append((len(x), part.start))
        return network(x).sum()

    micro_batched_loss(loss, x, 2).backward()
    assert seen == [(2, 0), (2, 2), (1, 4)]
    assert x.grad.abs().sum() > 0
    assert all(p.grad is None for p in network.parameters())


def test_without_gradients_it_is_one_call(network):
    seen = []
    micro_batched_loss(lambda x, part: seen.append(len(x)) or x.sum(), torch.ones(5, 2), 2)
    assert seen == [5]


def test_an_empty_batch():
    x = torch.zeros(0, 3, requires_grad=True)
    value = micro_batched_loss(lambda x, part: x.sum(), x)
    value.backward()
    assert value == 0
    assert x.grad.shape == (0, 3)


def test_a_second_derivative_is_refused():
    x = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    loss = micro_batched_loss(lambda x, part: (x**3).sum(), x**2)
    with pytest.raises(OfhkitError, match="no second derivative"):
        torch.autograd.grad(loss, x, create_graph=True)
    (got,) = torch.autograd.grad(loss, x)
    assert torch.allclose(got, 6 * x**5)
