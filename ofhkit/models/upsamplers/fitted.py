"""Upsamplers that are fitted in one pass, for faces of a size that is fixed when they are built."""

from __future__ import annotations

from torch import Tensor

from ofhkit.errors import OfhkitError
from ofhkit.models.fitted import Fitted


class FittedUpsampler(Fitted):
    """A fitted upsampler (see :class:`ofhkit.models.fitted.Fitted`) of faces of one size."""

    def __init__(self, scale: int, image_size: int, in_channels: int):
        super().__init__()
        self.scale = scale
        self.image_size = image_size
        self.in_channels = in_channels

    def _check_faces(self, lr: Tensor, hr: Tensor) -> None:
        side = self.image_size * self.scale
        expected = (len(hr), self.in_channels, self.image_size, self.image_size)
        if lr.shape != expected or hr.shape != (*expected[:2], side, side):
            raise OfhkitError(
                f"{type(self).__name__} was built for lr {expected[1:]} and hr {(expected[1], side, side)}, "
                f"got {tuple(lr.shape[1:])} and {tuple(hr.shape[1:])} ({len(lr)} and {len(hr)} faces)"
            )
