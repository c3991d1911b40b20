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


def pictures() -> Door:
    """Read every picture of a file, as everything does, with a fifth of the memory."""
    from ofhkit.restoration import read_pictures

    def door(path: Path) -> None:
        for picture in read_pictures(path, memory=600_000_000):
            height, width = picture.rgb.shape[:2]
            assert picture.rgb.dtype == "uint8", "another type"
            assert picture.pixels.shape[:2] == (height, width), "another size"

    return door


DOORS: dict[str, Callable[[], Door]] = {"pictures": pictures, "weights": weights}
