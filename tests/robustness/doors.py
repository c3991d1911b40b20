"""The doors through which a stranger's file comes in: name -> what makes the function that is given a path."""

from collections.abc import Callable
from pathlib import Path

Door = Callable[[Path], object]


def weights() -> Door:
    """Load a pipeline as every tool does, and ask it for a face."""
    import torch

    from ofhkit import load_model

    def door(path: Path) -> None:
        model = load_model(path, "cpu")
        with torch.no_grad():
            assert model(torch.rand(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)).isfinite().all(), "answers NaN"

    return door


DOORS: dict[str, Callable[[], Door]] = {"weights": weights}
