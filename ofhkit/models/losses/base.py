"""What every loss term has: a weight, and a ``forward`` whose parameter names say what it needs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ofhkit.errors import OfhkitError, did_you_mean


class LossTerm(nn.Module):
    """Base of the loss terms: ``forward`` returns the unweighted scalar; whoever sums multiplies by ``weight``.

    Args:
        weight: factor in the total loss; not negative.

    Raises:
        OfhkitError: the weight is negative.
    """

    def __init__(self, weight: float = 1.0):
        super().__init__()
        if weight < 0:
            raise OfhkitError(f"{type(self).__name__}: weight must not be negative, got {weight}")
        self.weight = float(weight)

    def needs(self) -> list[str]:
        """Names of the batch keys (or networks) that ``forward`` cannot do without."""
        return [p.name for p in self._takes() if p.default is p.empty]

    def _takes(self) -> list[inspect.Parameter]:
        return list(inspect.signature(self.forward).parameters.values())

    def evaluate(self, available: Mapping[str, Any]) -> Tensor:
        """Call ``forward`` with what it needs out of ``available``.

        Raises:
            OfhkitError: something it needs is not there; names it and the nearest available one.
        """
        for name in self.needs():
            if available.get(name) is None:
                raise OfhkitError(
                    f"loss {type(self).__name__} needs {name!r}, which this model or data set does not give; "
                    f"{did_you_mean(name, [k for k, v in available.items() if v is not None])}"
                )
        return self(**{p.name: available[p.name] for p in self._takes() if available.get(p.name) is not None})
