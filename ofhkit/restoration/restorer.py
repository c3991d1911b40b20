"""Pictures in, restored pictures out: holes, faces, one batch for all of them, and a status for every picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ofhkit.errors import Note, OfhkitError, did_you_mean
from ofhkit.functional.alignment import DEFAULT_TEMPLATE, transform_points
from ofhkit.functional.images import to_uint8
from ofhkit.functional.task import HR_SIZE, LR_SIZE, MAX_HOLE
from ofhkit.models.inference import device_of, faster, run_batches
from ofhkit.models.pipeline import FaceHallucinator
from ofhkit.models.uncertainty import calibrated
from ofhkit.restoration.blending import fill_hole
from ofhkit.restoration.completion import complete_crop
from ofhkit.restoration.composition import in_the_form_of, paste_back
from ofhkit.restoration.faces import CONFIDENCE, FaceFinder, FaceInput, crop_and_downsample, find_before, scaling
from ofhkit.restoration.masks import Box, Mask, MaskOptions, read_mask
from ofhkit.restoration.outcome import Outcome, RestoredFace
from ofhkit.restoration.pictures import Picture
from ofhkit.restoration.salt_and_pepper import fill_salt_and_pepper
from ofhkit.restoration.video import steady
from ofhkit.zoo.mask_finder import finder_for

__all__ = ["KINDS", "Outcome", "RestoredFace", "Restorer"]

KINDS = ("auto", "tiny", "aligned", "photo")
PASTE = ("auto", "hole", "face")
UNTOUCHED = "no hole: nothing restored"
RIM = 5  # crop pixels beside what is found: a small pixel of which less than an eighth is covered does not count
BLIND = 64  # side up to which a picture without a found face is taken as one: the detector sees nothing so small
MANY = 32  # faces for which it pays to bring the networks into their fast forms
WAITING_PIXELS = 40_000_000  # of pictures that wait for a batch to fill up: what memory holds
SAME_CROP, SAME_CROP_HIDDEN = 10.0, 24.0  # crop pixels by which an aligned face's corners may miss; with a hole


@dataclass(frozen=True)
class _Plan:
    """A picture whose faces are found; ``rgb`` and ``solid`` are picture and hole once dropouts are filled."""

    picture: Picture
    kind: str
    mask: Mask
    rgb: np.ndarray
    solid: np.ndarray
    matrices: list[np.ndarray | None]
    scores: list[float]
    seen: list[FaceInput]
    notes: tuple[str, ...]


class Restorer:
    """Restores pictures with one model; its networks are built when they are first needed.

    Args:
        model: of :func:`ofhkit.load_model`.
        mask: what is hidden.
        kind: what the pictures are: ``tiny`` (16x16 faces), ``aligned`` (square crops like the training's), ``photo``
            (faces are searched), or ``auto``, which looks at each.
        paste: what is put back into a photograph: the whole ``face``, or only the ``hole``, or ``auto``, which is the
            same; a photograph without a hole stays as it is.
        batch_size: faces that go through the network at once, of however many pictures.
        uncertainty: also say where the model is unsure.
        samples: how many other answers to draw that fit what is seen as well.
        completer: inpainter that fills a photograph's hole at 128x128 (:func:`ofhkit.zoo.load_completer`); None: it is
            filled from the 16x16 face.
        faces: boxes (x, y, width, height) where faces are, in every picture's pixels; empty: they are searched.
        confidence: the detector's score from which on a find is a face.

    Raises:
        OfhkitError: an unknown kind or way to paste, a confidence outside (0, 1); a model that cannot say what is
            asked.
    """

    def __init__(
        self,
        model: FaceHallucinator,
        mask: MaskOptions | None = None,
        kind: str = "auto",
        paste: str = "auto",
        batch_size: int = 64,
        uncertainty: bool = False,
        samples: int = 0,
        completer: nn.Module | None = None,
        faces: Sequence[Box] = (),
        confidence: float = CONFIDENCE,
    ):
        for name, value, valid in (("kind", kind, KINDS), ("paste", paste, PASTE)):
            if value not in valid:
                raise OfhkitError(f"unknown {name} {value!r}; {did_you_mean(value, valid)}")
        if uncertainty:
            calibrated(model)
        if batch_size < 1:
            raise OfhkitError(f"batch_size must be a positive whole number, got {batch_size}")
        self.model, self.mask, self.kind, self.paste = model, mask or MaskOptions(), kind, paste
        self.batch_size, self.uncertainty, self.samples = batch_size, uncertainty, samples
        self.completer, self.faces, self.confidence = completer, faces, confidence
        self._filled: dict[bytes, Tensor] = {}  # by place, of a video's last frames
        self._last: tuple[Path | None, list[np.ndarray]] = (None, [])
        self._finder: FaceFinder | None = None
        self._fast: FaceHallucinator | None = None

    def restore(self, pictures: Iterable[Picture | Outcome]) -> Iterator[Outcome]:
        """Restore pictures in order, as many together as fill a batch.

        A picture's failure is its own; what has an outcome already keeps it.
        """
        waiting: list[_Plan | Outcome] = []
        faces = pixels = 0
        for picture in pictures:
            item = picture if isinstance(picture, Outcome) else self._plan(picture)
            waiting.append(item)
            faces += len(item.seen) if isinstance(item, _Plan) else 0
            pixels += item.picture.rgb.shape[0] * item.picture.rgb.shape[1]
            if faces >= self.batch_size or pixels >= WAITING_PIXELS:
                yield from self._finish(waiting)
                waiting, faces, pixels = [], 0, 0
        yield from self._finish(waiting)

    def _plan(self, picture: Picture) -> _Plan | Outcome:
        mask = None
        try:
            mask = read_mask(picture, self.mask)
            if mask.hidden.all():
                raise OfhkitError("everything is hidden: there is nothing to go by")
            rgb, solid, dropouts = fill_salt_and_pepper(picture.rgb, mask.hidden)
            kind, matrices, scores, notes = self._locate(rgb, solid, picture.path if picture.frame else None)
            if dropouts:
                notes.append(f"{dropouts} scattered pixels filled from their neighbours")
            seen = [crop_and_downsample(rgb, solid, matrix) for matrix in matrices]
            finder = finder_for(self.model) if isinstance(self.mask.mask, str) and self.mask.mask == "auto" else None
            if finder is not None:
                before = find_before(finder, seen, matrices, rgb.shape[:2], RIM if kind == "photo" else 0)
                if (before & ~solid).any():
                    solid = solid | before
                    mask = Mask(mask.hidden | before, (*mask.found, "auto: something before a face"))
                    seen = [crop_and_downsample(rgb, solid, matrix) for matrix in matrices]
            if kind == "photo" and solid.any():
                kept = [i for i, s in enumerate(seen) if s.mask.any()]
                if not kept and self.mask.said:
                    raise OfhkitError(
                        f"the hole touches none of the {len(seen)} faces that were found; move it onto one, or say "
                        "where the hidden face is with --face x,y,w,h"
                    )
                if not kept:  # a border, say, that was found and not said: no face is damaged
                    notes.append("what looks missing touches no face: left as it is")
                    mask, solid = replace(mask, hidden=mask.hidden & ~solid), np.zeros_like(solid)
                elif len(kept) < len(seen):
                    notes.append(f"{len(seen) - len(kept)} faces without a hole were left as they are")
                    matrices, scores, seen = ([x[i] for i in kept] for x in (matrices, scores, seen))
            areas = [int(s.mask.sum()) for s in seen]
            if min(areas) == LR_SIZE**2:
                raise OfhkitError("a face is hidden altogether: there is nothing to go by")
        except OfhkitError as error:
            return Outcome(picture, mask=mask, error=str(error), problem=error.problem, notes=picture.notes)
        except (cv2.error, MemoryError, OSError, ValueError, RuntimeError) as error:  # it must not end a long run
            reason = (str(error) or type(error).__name__).strip().splitlines()[0]
            return Outcome(picture, mask=mask, error=f"it could not be processed ({reason})", notes=picture.notes)
        if max(areas) > MAX_HOLE:
            text = f"the hole covers {max(areas)} of 256 low-resolution pixels, more than the {MAX_HOLE} "
            notes.append(Note(f"{text}that the models are trained for", "warning"))
        return _Plan(picture, kind, mask, rgb, solid, matrices, scores, seen, (*picture.notes, *notes))

    def _locate(
        self, rgb: np.ndarray, mask: np.ndarray, film: Path | None = None
    ) -> tuple[str, list, list[float], list[str]]:
        """Kind, matrices, detector's scores and notes of a picture."""
        height, width = rgb.shape[:2]
        size, square = f"{width}x{height}", width == height
        tiny = width == height == LR_SIZE
        if self.kind == "tiny" and not tiny:
            raise OfhkitError(f"a tiny face has {LR_SIZE}x{LR_SIZE} pixels, and this has {size}; leave out --kind")
        if tiny and self.kind in ("auto", "tiny"):
            return "tiny", [None], [np.nan], []
        if min(height, width) < LR_SIZE:
            raise OfhkitError(f"{size} pixels are too few: a face needs {LR_SIZE}x{LR_SIZE}")
        if self.kind == "aligned":
            if not square:
                raise OfhkitError(f"an aligned face is square, and this has {size} pixels; say --kind photo")
            return "aligned", [scaling(width)], [np.nan], [_reduction(size)]
        if self._finder is None:
            device = device_of(self.model)
            template = getattr(self.model, "info", {}).get("template") or DEFAULT_TEMPLATE
            self._finder = FaceFinder(template, device, self.confidence, self.completer)
        if self.faces:
            boxes, matrices = self._finder.place(rgb, mask, self.faces)
            return "photo", list(matrices), boxes[:, 4].tolist(), ["faces placed as told"]
        boxes, found = self._finder.find(rgb, mask)
        if film is not None:  # frames of a video follow each other
            found = np.array([steady(m, self._last[1] if self._last[0] == film else [], HR_SIZE) for m in found])
            self._last = (film, list(found))
        matrices = found.reshape(-1, 2, 3)
        if len(boxes) == 0:
            if self.kind == "auto" and square and (width <= BLIND or (mask.any() and width <= 4 * BLIND)):
                return (
                    "aligned",
                    [scaling(width)],
                    [np.nan],
                    ["no face recognised: taken as an aligned face", _reduction(size)],
                )
            crop = ", or a square crop of one face with --kind aligned" if square else ""
            raise OfhkitError("no face was found", remedy=f"say where it is with --face x,y,w,h{crop}")
        if self.kind == "auto" and square and len(boxes) == 1 and _is_crop(matrices[0], width, mask.any()):
            return "aligned", [scaling(width)], [float(boxes[0, 4])], [_reduction(size)]
        note = f"{len(boxes)} face{'s' if len(boxes) > 1 else ''} found and shrunk to {LR_SIZE}x{LR_SIZE}"
        return "photo", list(matrices), boxes[:, 4].tolist(), [note]

    def _finish(self, waiting: list[_Plan | Outcome]) -> Iterator[Outcome]:
        """Hallucinate all faces of some pictures at once."""
        seen = [s for plan in waiting if isinstance(plan, _Plan) for s in plan.seen]
        if seen:
            lr, mask = torch.stack([s.lr for s in seen]), torch.stack([s.mask for s in seen])
            if self._fast is None and len(seen) >= MANY:
                self._fast = faster(self.model)
            out = run_batches(self._fast or self.model, lr, mask, self.batch_size, self.uncertainty, self.samples)
        first = 0
        for plan in waiting:
            if isinstance(plan, Outcome):
                yield plan
                continue
            here = range(first, first + len(plan.seen))
            first += len(plan.seen)
            faces = tuple(self._face(plan, i - here[0], lr[i], mask[i], out, i) for i in here)
            yield self._compose(plan, faces)

    def _face(self, plan: _Plan, k: int, lr: Tensor, mask: Tensor, out: Any, i: int) -> RestoredFace:
        seen, occluded = plan.seen[k], mask[0].numpy() > 0.5
        scale = HR_SIZE // LR_SIZE
        invented, filled = occluded.repeat(scale, 0).repeat(scale, 1), None
        if self.completer is not None and plan.kind == "photo" and seen.hidden.any():
            invented = seen.hidden
            filled = complete_crop(seen.crop, seen.hidden, self.completer, self._fast or self.model)
            if plan.picture.frame:  # where the face held still, half of it is the last frame's
                place = plan.matrices[k].tobytes()
                filled = (filled + self._filled.get(place, filled)) / 2
                self._filled = {**dict(list(self._filled.items())[-MANY:]), place: filled}
            filled = to_uint8(filled)
        return RestoredFace(
            sr=to_uint8(out.sr[i]),
            seen=seen.crop,
            lr=to_uint8(lr * (1 - mask)),
            completed=to_uint8(out.completed[i].clamp(0, 1)),
            mask=occluded,
            invented=invented,
            matrix=plan.matrices[k],
            score=plan.scores[k],
            consistency=float(out.consistency[i]),
            uncertainty=None if out.uncertainty is None else out.uncertainty[i].numpy(),
            samples=None if out.samples is None else np.stack([to_uint8(one) for one in out.samples[i]]),
            filled=filled,
        )

    def _compose(self, plan: _Plan, faces: tuple[RestoredFace, ...]) -> Outcome:
        outcome = Outcome(plan.picture, plan.kind, faces[0].sr, faces, plan.mask, plan.notes)
        if plan.kind != "photo":
            return outcome
        picture, whole = plan.picture, self.paste == "face"
        if not whole and not plan.mask.hidden.any():
            return replace(outcome, image=picture.rgb, untouched=True, notes=(UNTOUCHED, *plan.notes))
        pixels, filled = picture.pixels.copy(), plan.mask.hidden & ~plan.solid
        pixels[filled] = in_the_form_of(pixels, plan.rgb[filled])
        image = plan.rgb
        for face in sorted(faces, key=lambda f: f.score):  # where two overlap the surer one lies on top
            if whole:
                pixels, image = (paste_back(p, face.sr, face.matrix) for p in (pixels, image))
            else:
                crop = face.sr if face.filled is None else face.filled
                pixels, image = (fill_hole(p, crop, face.matrix, plan.solid) for p in (pixels, image))
        return replace(outcome, image=image, pixels=pixels)


def _reduction(size: str) -> str:
    return f"{size} shrunk to {LR_SIZE}x{LR_SIZE}: detail of the original is not used"


def _is_crop(matrix: np.ndarray, side: int, hidden: bool) -> bool:
    """Whether a picture is already what would be cropped from it."""
    corners = np.array([[0, 0], [0, side - 1], [side - 1, 0], [side - 1, side - 1]], float)
    apart = transform_points(matrix, corners) - transform_points(scaling(side), corners)
    return bool(np.abs(apart).max() <= (SAME_CROP_HIDDEN if hidden else SAME_CROP))
