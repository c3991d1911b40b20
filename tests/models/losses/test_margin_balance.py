import itertools

import pytest
import torch

from ofhkit.errors import OfhkitError
from ofhkit.models.losses import MarginBalance
from ofhkit.registry import LOSSES


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [
        (0.5, 0.5, (True, True)),  # a fair game
        (0.29, 0.5, (False, True)),  # D sure of the real faces
        (0.5, 0.29, (False, True)),
        (0.71, 0.5, (True, False)),  # G fools D
        (0.5, 0.71, (True, False)),
        (0.1, 2.0, (True, True)),  # both would wait
        (0.3, 0.7, (True, True)),  # on the margin nobody waits
    ],
)
def test_published_rule(real, fake, expected):
    assert MarginBalance().decide(real, fake) == expected


@pytest.mark.parametrize(
    ("real", "fake", "moves"), [(0.3, 0.6, False), (0.1, 1.0, True), (0.5, 0.5, True), (0.0, 0.1, False)]
)
def test_only_a_discriminator_that_leads_waits(real, fake, moves):
    assert LOSSES.build({"type": "LeadBalance"}).decide(real, fake) == (moves, True)


def test_somebody_always_moves():
    values = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 5.0]
    for margin, real, fake in itertools.product([0.0, 0.3, 0.5, 0.9], values, values):
        assert any(MarginBalance(margin).decide(real, fake))


def test_is_called_with_a_steps_losses_and_built_by_name():
    balance = LOSSES.build({"type": "MarginBalance", "margin": 0.2})
    real = torch.tensor(0.25, requires_grad=True)
    assert balance(real, torch.tensor(0.79)) == (True, True)
    assert balance(real, torch.tensor(0.1)) == (False, True)
    with pytest.raises(OfhkitError, match="between 0 and 1"):
        MarginBalance(30)
