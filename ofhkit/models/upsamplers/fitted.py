"""What upsamplers have in common that are fitted in one pass over the faces instead of being optimised."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ofhkit.errors import OfhkitError


class FittedUpsampler(nn.Module, ABC):
    """An upsampler without parameters: ``partial_fit`` on every batch once, then ``finalise``; saved as buffers.

    A subclass names its float64 sums over faces in ``_new_sums``, adds to them in ``_accumulate`` and turns them into
    buffers in ``_solve``. Sums add up over batches, machines (:meth:`finalise` does it where processes are joined by
    ``torch.distributed``) and separately fitted copies (:meth:`merge`). They are not part of ``state_dict``.
    """

    num_faces: Tensor

    def __init__(self, scale: int, image_size: int, in_channels: int):
        super().__init__()
        self.scale = scale
        self.image_size = image_size
        self.in_channels = in_channels
        self.register_buffer("num_faces", torch.zeros((), dtype=torch.int64))
        self._fitted = False
        self._sums: dict[str, Tensor] | None = None
        self.register_load_state_dict_post_hook(_note_fit)

    @abstractmethod
    def _new_sums(self, device: torch.device) -> dict[str, Tensor]:
        """Return zeros (float64) for every sum."""

    @abstractmethod
    def _accumulate(self, sums: dict[str, Tensor], lr: Tensor, hr: Tensor) -> None:
        """Add a batch to ``sums`` in place."""

    @abstractmethod
    def _solve(self, sums: dict[str, Tensor], count: int) -> None:
        """Fill the buffers from the sums over ``count`` faces."""

    @torch.no_grad()
    def partial_fit(self, lr: Tensor, hr: Tensor) -> None:
        """Take in a batch of faces; the first call after construction or :meth:`finalise` begins a new fit.

        Shape:
            lr (N, C, H, W) and hr (N, C, scale*H, scale*W), float in [0, 1].

        Raises:
            OfhkitError: sizes other than those the upsampler was built for.
        """
        side = self.image_size * self.scale
        expected = (len(hr), self.in_channels, self.image_size, self.image_size)
        if lr.shape != expected or hr.shape != (*expected[:2], side, side):
            raise OfhkitError(
                f"{type(self).__name__} was built for lr {expected[1:]} and hr {(expected[1], side, side)}, "
                f"got {tuple(lr.shape[1:])} and {tuple(hr.shape[1:])} ({len(lr)} and {len(hr)} faces)"
            )
        device = lr.device if lr.device.type != "mps" else torch.device("cpu")  # MPS has no float64
        if self._sums is None:
            self._sums = self._new_sums(device) | {"count": torch.zeros((), dtype=torch.float64, device=device)}
        self._sums["count"] += len(lr)
        self._accumulate(self._sums, lr.to(device), hr.to(device))

    def merge(self, other: FittedUpsampler) -> None:
        """Add the faces that ``other``, not yet finalised, has seen.

        Raises:
            OfhkitError: one of the two has seen none.
        """
        mine, theirs = self._open_sums(), other._open_sums()
        for name, value in theirs.items():
            mine[name] += value.to(mine[name].device)

    @torch.no_grad()
    def finalise(self) -> None:
        """Close the pass: join the sums of all processes and compute what ``forward`` needs.

        Raises:
            OfhkitError: no face was seen, or one held NaN or infinity.
        """
        sums = self._open_sums()
        for value in sums.values():
            if dist.is_available() and dist.is_initialized():
                dist.all_reduce(value)
            if not torch.isfinite(value).all():
                raise OfhkitError(f"{type(self).__name__}: a training face holds NaN or infinity; check the data set")
        count = int(sums["count"])
        self._solve(sums, count)
        self.num_faces.fill_(count)
        self._fitted, self._sums = True, None

    def _open_sums(self) -> dict[str, Tensor]:
        if self._sums is None:
            raise OfhkitError(f"{type(self).__name__} has seen no face; call partial_fit(lr, hr) first")
        return self._sums

    def _require_fit(self) -> None:
        if not self._fitted:
            raise OfhkitError(
                f"{type(self).__name__} is not fitted; call partial_fit and finalise, or load a fitted checkpoint"
            )


def _note_fit(module: nn.Module, _incompatible: object) -> None:
    module._fitted = bool(module.num_faces > 0)
