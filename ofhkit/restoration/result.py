"""Tiny faces of any common kind in, a result out that shows, saves and explains itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ofhkit.errors import OfhkitError
from ofhkit.functional.images import to_uint8
from ofhkit.functional.task import LR_SIZE
from ofhkit.models.inference import run_batches
from ofhkit.restoration.pictures import is_still, read_pictures
from ofhkit.restoration.writing import png
from ofhkit.runtime.files import atomic_write
from ofhkit.zoo.mask_finder import finder_for

__all__ = ["Result", "find_mask", "hallucinate"]

Pictures = np.ndarray | Image.Image | str | Path
EXPECTED = "(16, 16, 3) or (N, 16, 16, 3), or with the channels first (3, 16, 16) or (N, 3, 16, 16), RGB"


@dataclass(frozen=True, repr=False)
class Result:
    """A hallucinated face, or a batch of them; ``np.asarray(result)`` is ``sr``, a notebook shows the picture.

    Attributes:
        sr: (…, 128, 128, 3) RGB, or (…, 3, 128, 128) where the input had its channels first; uint8 or float as the
            input. Hallucinated: not for identification.
        completed: the input as RGB with its hole filled, in the input's layout.
        mask: (…, 16, 16) bool, True = occluded.
        consistency: (…) PSNR in dB between ``sr``, shrunk again, and the known pixels; NaN where none is known.
        uncertainty: (…, 128, 128) standard deviation in units of [0, 1], calibrated, if it was asked for: 1.645 of them
            to either side of ``sr`` hold 90 % of the errors.
        info: the model's, for the text in a file.
        samples: (…, S, 128, 128, 3) or (…, S, 3, 128, 128) other answers that fit as well, if they were asked for.
    """

    sr: np.ndarray
    completed: np.ndarray
    mask: np.ndarray
    consistency: np.ndarray
    uncertainty: np.ndarray | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    samples: np.ndarray | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.sr if dtype is None else self.sr.astype(dtype)

    def __repr__(self) -> str:
        """One line: how many faces, how much of them was hidden, how well they agree with what was not."""
        count = 1 if self.sr.ndim == 3 else len(self.sr)
        known = self.consistency[np.isfinite(self.consistency)]
        agreement = f"{known.mean():.1f} dB" if known.size else "nothing was known"
        hidden = f"{self.mask.mean():.0%} hidden" if self.mask.size else "none hidden"
        faces = f"{count} face{'s' * (count != 1)} of {'x'.join(map(str, self.invented.shape[-2:]))}"
        return f"Result({faces}, {hidden}, consistency {agreement})"

    @property
    def invented(self) -> np.ndarray:
        """(…, 128, 128) bool: pixels that stem from occluded ones and so from nothing that was seen."""
        first = self.sr.shape[-1] != 3
        scale = self.sr.shape[-1 if first else -2] // self.mask.shape[-1]
        return self.mask.repeat(scale, -1).repeat(scale, -2)

    @property
    def image(self) -> Image.Image:
        """The face as a picture; those of a batch side by side.

        Raises:
            OfhkitError: there is no face.
        """
        return Image.fromarray(self._pixels())

    def save(self, path: str | Path) -> Path:
        """Write the picture as PNG; the file says that it was hallucinated, and by which model.

        Raises:
            OfhkitError: another suffix, or no face.
        """
        path = Path(path)
        if path.suffix.lower() != ".png":
            raise OfhkitError(f"{path}: a result is saved as PNG, which keeps every bit: name it {path.stem}.png")
        return atomic_write(path, self._repr_png_())

    def _repr_png_(self) -> bytes:
        return png(self._pixels(), self.info)

    def _pixels(self) -> np.ndarray:
        faces = self.sr if self.sr.ndim == 4 else self.sr[None]
        if not len(faces):
            raise OfhkitError("the result holds no face: there is no picture of it")
        faces = faces.transpose(0, 2, 3, 1) if faces.shape[-1] != 3 else faces
        row = np.concatenate(list(faces), 1)
        return row if row.dtype == np.uint8 else to_uint8(torch.from_numpy(row).permute(2, 0, 1))


def hallucinate(
    model: nn.Module,
    image: Pictures,
    mask: Pictures | None = None,
    *,
    batch_size: int = 64,
    uncertainty: bool = False,
    samples: int = 0,
) -> Result:
    """Turn tiny faces with holes into complete large ones.

    Several threads may call it with one model.

    Args:
        model: of :func:`ofhkit.load_model`.
        image: one face (16, 16, 3) or (3, 16, 16), or a batch (N, 16, 16, 3) or (N, 3, 16, 16); RGB, uint8, or float
            in [0, 1]. One face may be grey (16, 16), have transparency (16, 16, 4), be a PIL image, or a file's path.
        mask: (16, 16) or (N, 16, 16), a PIL image or a file's path; nonzero = occluded. None: what is transparent is.
            ``"auto"``: what :func:`find_mask` finds.
        batch_size: faces that go through the network at once.
        uncertainty: also say how sure the model is of every pixel.
        samples: how many other answers to draw that fit what is seen as well; the same at every call.

    Raises:
        OfhkitError: the model cannot say what is asked; another shape, size, type or range, or no such file; says
            which was expected.

    >>> import ofhkit, numpy as np
    >>> from ofhkit.registry import HALLUCINATORS
    >>> model = HALLUCINATORS.build(dict(type='FaceHallucinator', inpainter=dict(type='EncoderDecoder'),
    ...     upsampler=dict(type='Bicubic'))).eval()
    >>> ofhkit.hallucinate(model, np.zeros((16, 16, 3), np.uint8), np.ones((16, 16)))
    Result(1 face of 128x128, 100% hidden, consistency nothing was known)
    """
    if not isinstance(model, nn.Module):
        raise OfhkitError(f"model must be one of ofhkit.load_model, got {type(model).__name__}")
    lr, transparent, single, first, dtype = _read(image)
    if isinstance(mask, str) and mask == "auto":
        holes = _find(lr, transparent, model)
    else:
        given = transparent if mask is None else _as_array(mask, "mask")
        holes = np.zeros((len(lr), *lr.shape[2:]), bool) if given is None else given != 0
    holes = holes[None] if holes.ndim == 2 else holes
    if holes.shape != (len(lr), *lr.shape[2:]):
        size = tuple(lr.shape[2:])
        raise OfhkitError(f"mask must be {size} or {(len(lr), *size)}, nonzero = occluded; got {given.shape}")
    out = run_batches(model, lr, torch.from_numpy(holes)[:, None].float(), batch_size, uncertainty, samples)

    def back(t: Tensor) -> np.ndarray:
        array = (t * 255).round().to(torch.uint8).numpy() if dtype == np.uint8 else t.numpy().astype(dtype)
        array = array if first else np.moveaxis(array, -3, -1)
        return array[0] if single else array

    return Result(
        sr=back(out.sr),
        completed=back(out.completed),
        mask=holes[0] if single else holes,
        consistency=out.consistency.numpy()[0 if single else slice(None)],
        uncertainty=None if out.uncertainty is None else out.uncertainty.numpy()[0 if single else slice(None)],
        info=getattr(model, "info", {}),
        samples=None if out.samples is None else back(out.samples),
    )


def find_mask(image: Pictures, model: nn.Module | None = None) -> np.ndarray:
    """Find what hides tiny faces: (16, 16) or, of a batch, (N, 16, 16) bool, True = occluded or transparent.

    It is found by what faces look like, so that spectacles, hands and hats may be found too, and an occluder that looks
    like a face may not.

    Args:
        image: as for :func:`hallucinate`.
        model: that is to fill the holes. The finder was trained on photographs, for research only.

    Raises:
        OfhkitError: another shape, size, type or range, no such file, or a model that is free to use.

    >>> find_mask(np.zeros((2, 16, 16, 3), np.uint8)).shape
    (2, 16, 16)
    """
    faces = _read(image)
    found = _find(faces.lr, faces.transparent, model)
    return found[0] if faces.single else found


def _find(lr: Tensor, transparent: np.ndarray | None, model: nn.Module | None) -> np.ndarray:
    finder = finder_for(model)
    if finder is None:
        raise OfhkitError(
            "what finds masks was trained on photographs and is for research only, and this model is free to use: name "
            "the mask, or find it without the model by ofhkit.find_mask(image)"
        )
    parts = [finder.find(part)[:, 0].numpy() > 0.5 for part in lr.split(64)]
    found = np.concatenate(parts) if parts else np.zeros((0, *lr.shape[2:]), bool)
    return found if transparent is None else found | transparent


class _Faces(NamedTuple):
    """Faces (N, 3, 16, 16) in [0, 1], what is transparent of a single one, and what form they were given in."""

    lr: Tensor
    transparent: np.ndarray | None
    single: bool
    first: bool
    dtype: np.dtype


def _read(given: Pictures) -> _Faces:
    image, transparent = _as_rgb(_as_array(given, "image"))
    batch = image[None] if image.ndim == 3 else image
    first = _channels_first(batch, image.shape)
    integer = _check_values(batch)
    lr = torch.from_numpy(np.ascontiguousarray(batch if first else batch.transpose(0, 3, 1, 2)))
    return _Faces(lr.float() / (255 if integer else 1), transparent, image.ndim == 3, first, batch.dtype)


def _as_array(given: Pictures, what: str) -> np.ndarray:
    """What was given for ``image`` or ``mask`` as an array; a picture's file is read."""
    if isinstance(given, str | Path):
        if not is_still(given):
            raise OfhkitError(f"{what} {given} holds many pictures: ofhkit infer restores them")
        picture = next(read_pictures(given))
        if what == "mask":
            return picture.rgb.max(-1)
        return picture.rgb if picture.alpha is None else np.dstack([picture.rgb, picture.alpha])
    if isinstance(given, Image.Image):
        if what == "mask":
            return np.asarray(given.convert("L"))
        return np.asarray(given.convert("RGBA" if given.has_transparency_data else "RGB"))
    array = np.asarray(given)
    if array.dtype == object or array.dtype.kind in "US":
        raise OfhkitError(f"{what} must be an array, a PIL image or a file's path, got {type(given).__name__}")
    return array


def _as_rgb(image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """One face as RGB, grey made three equal channels; and what is transparent, where anything is."""
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        return image.reshape(*image.shape[:2], 1).repeat(3, -1), None
    if image.ndim == 3 and image.shape[2] in (2, 4):
        half = np.iinfo(image.dtype).max / 2 if image.dtype.kind == "u" else 0.5
        return _as_rgb(image[..., :-1])[0], image[..., -1] < half
    return image, None


def _channels_first(batch: np.ndarray, given: tuple[int, ...]) -> bool:
    """Whether a batch is (N, 3, 16, 16); refuses what is neither that nor (N, 16, 16, 3)."""
    if batch.ndim == 4:
        for first, sides in ((False, batch.shape[1:3]), (True, batch.shape[2:])):
            if batch.shape[1 if first else 3] != 3:
                continue
            if sides == (LR_SIZE, LR_SIZE):
                return first
            if first or batch.shape[1] != 3:
                size = "x".join(map(str, sides))
                raise OfhkitError(
                    f"image is {size} and must be 16x16, which becomes 128x128: shrink it, or give it to ofhkit infer, "
                    "which finds and shrinks faces"
                )
    raise OfhkitError(f"image must be {EXPECTED}, got {given}")


def _check_values(batch: np.ndarray) -> bool:
    """Whether the values are uint8; refuses what is neither that nor float in [0, 1]."""
    if batch.dtype == np.uint8:
        return True
    if not np.issubdtype(batch.dtype, np.floating):
        raise OfhkitError(f"image must be uint8, or float in [0, 1], got {batch.dtype}")
    if not (np.isfinite(batch).all() and batch.min(initial=0) >= 0 and batch.max(initial=0) <= 1):
        raise OfhkitError("a float image must lie in [0, 1] and hold no NaN; divide by 255, or pass uint8")
    return False
