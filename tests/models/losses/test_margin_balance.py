import itertools

import pytest

from ofhkit.models.balance import MarginBalance


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


def test_somebody_always_moves():
    values = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 5.0]
    for margin, real, fake in itertools.product([0.0, 0.3, 0.5, 0.9], values, values):
        assert any(MarginBalance(margin).decide(real, fake))
