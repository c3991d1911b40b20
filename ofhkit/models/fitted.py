"""What networks have in common that are fitted in one pass over the faces instead of being optimised."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ofhkit.errors import OfhkitError


class Fitted(nn.Module, ABC):
    """A network without parameters: ``partial_fit`` on every batch once, then ``finalise``; saved as buffers.

    A subclass names its float64 sums over faces in ``_new_sums``, adds to them in ``_accumulate`` and turns them into
    buffers in ``_solve``. Sums add up over batches, machines (:meth:`finalise` does it where processes are joined by
    ``torch.distributed``) and separately fitted copies (:meth:`merge`). They are not part of ``state_dict``.

    A buffer that is empty until the fit takes the size of the faces; so it does when a fit is loaded.
    """

    num_faces: Tensor
    image_size: int | property  # side of the small faces

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("num_faces", torch.zeros((), dtype=torch.int64))
        self._fitted = False
        self._sums: dict[str, Tensor] | None = None
        self.register_load_state_dict_pre_hook(_take_sizes)
        self.register_load_state_dict_post_hook(_note_fit)

    @abstractmethod
    def _check_faces(self, lr: Tensor, hr: Tensor) -> None:
        """Raise :class:`OfhkitError` for faces of a size that does not belong here."""

    @abstractmethod
    def _new_sums(self, lr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        """Return zeros (float64, on the faces' device) for every sum."""

    @abstractmethod
    def _accumulate(self, sums: dict[str, Tensor], lr: Tensor, hr: Tensor) -> None:
        """Add a batch to ``sums`` in place."""

    @abstractmethod
    def _solve(self, sums: dict[str, Tensor], count: int) -> None:
        """Fill the buffers from the sums over ``count`` faces."""

    def _prepare(self) -> None:
        """Check the buffers, compute what is derived from them and not saved; called when a fit is closed or loaded."""

    @torch.no_grad()
    def partial_fit(self, lr: Tensor, hr: Tensor) -> None:
        """Take in a batch of faces; the first call after construction or :meth:`finalise` begins a new fit.

        Shape:
            lr (N, C, H, W) and hr (N, C, scale*H, scale*W), float in [0, 1].

        Raises:
            OfhkitError: sizes other than those the network was built for, or than those of the first batch.
        """
        self._check_faces(lr, hr)
        device = lr.device if lr.device.type != "mps" else torch.device("cpu")  # MPS has no float64
        lr, hr = lr.to(device), hr.to(device)
        if self._sums is None:
            count = torch.zeros((), dtype=torch.float64, device=device)
            self._sums = self._new_sums(lr, hr) | {"count": count}
        self._sums["count"] += len(lr)
        self._accumulate(self._sums, lr, hr)

    def merge(self, other: Fitted) -> None:
        """Add the faces that ``other``, not yet finalised, has seen.

        Raises:
            OfhkitError: one of the two has seen none, or faces of another size.
        """
        mine, theirs = self._open_sums(), other._open_sums()
        if {k: v.shape for k, v in mine.items()} != {k: v.shape for k, v in theirs.items()}:
            raise OfhkitError(
                f"{type(self).__name__}: the two have seen faces of different sizes; fit both on one size"
            )
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
        self._prepare()

    def _keep(self, name: str, value: Tensor) -> None:
        """Store ``value`` in a buffer of any size, in the buffer's type and on its device."""
        buffer = getattr(self, name)
        setattr(self, name, value.to(buffer).contiguous())

    def _open_sums(self) -> dict[str, Tensor]:
        if self._sums is None:
            raise OfhkitError(f"{type(self).__name__} has seen no face; call partial_fit(lr, hr) first")
        return self._sums

    def _require_fit(self, faces: Tensor | None = None, size: torch.Size | None = None) -> None:
        """Refuse to answer before the fit, or ``faces`` (N, *size) of another size than it was fitted to."""
        name = type(self).__name__
        if not self._fitted:
            raise OfhkitError(f"{name} is not fitted; call partial_fit and finalise, or load a fitted checkpoint")
        if faces is not None and faces.shape[1:] != size:
            raise OfhkitError(
                f"{name} was fitted to faces {tuple(size)}, got {tuple(faces.shape[1:])}; fit it to faces of this size"
            )


def _take_sizes(module: Fitted, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    for name, buffer in module.named_buffers(recurse=False):
        stored = state.get(prefix + name)
        if stored is not None and 0 in (buffer.numel(), stored.numel()):
            setattr(module, name, buffer.new_empty(stored.shape))


def _note_fit(module: Fitted, _incompatible: object) -> None:
    module._fitted = bool(module.num_faces > 0)
    if module._fitted:
        with torch.no_grad():
            module._prepare()


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
