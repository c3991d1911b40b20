"""From a true face to what a method may see: batched, on the device, called by the training loop and by evaluation.

uint8 HR -> float -> flip -> antialiased cubic 128 -> 16 -> hole. Workers only read; everything else happens here,
for the whole batch at once. Reference for the holes: arXiv 1811.04645, Section 4.1 and Figures 8 to 10.
"""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from ofhkit.data.occluders import as_jpeg, cover, enlarge, normal_noise
from ofhkit.errors import OfhkitError
from ofhkit.functional.face_labels import flip_landmarks, flip_parsing
from ofhkit.functional.masks import hash_integers, random_rectangles, rectangle_mask
from ofhkit.functional.resample import downsample_cubic
from ofhkit.functional.task import HR_SIZE, LR_SIZE, MAX_HOLE, MIN_HOLE, SCALE
from ofhkit.registry import DEGRADATIONS


def _mirror(hr: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the bytes of the chosen faces: a quarter of what floats are."""
    if hr.device.type != "cpu":  # to know which are chosen, the host would have to wait for the device
        return torch.where(chosen[:, None, None, None], hr.flip(-1), hr)
    rows = chosen.nonzero().squeeze(1)
    return hr.index_copy(0, rows, hr.index_select(0, rows).flip(-1))


@DEGRADATIONS.register_module()
class RandomRectangle:
    """One rectangle an image with ``min_area <= height * width <= max_area`` pixels of the LR image.

    Calling it with keys (N,) int64 and a seed gives masks (N, 1, size, size), a pure function of both.

    Args:
        min_area, max_area: limits of the area; the defaults are the paper's 16 < area < 64.
        min_side: shortest side.
    """

    def __init__(self, min_area: int = MIN_HOLE, max_area: int = MAX_HOLE, min_side: int = 3):
        if not 0 < min_area <= max_area:
            message = f"RandomRectangle: need 0 < min_area <= max_area, got {min_area} and {max_area}"
            raise OfhkitError(message, key="min_area")
        self.min_area, self.max_area, self.min_side = min_area, max_area, min_side

    def __call__(self, keys: Tensor, seed: int, size: int) -> Tensor:
        if size == HR_SIZE:  # the same rectangles, before the face is shrunk
            return enlarge(self(keys, seed, LR_SIZE), SCALE)
        return random_rectangles(
            keys, seed, size, min_side=self.min_side, max_side=size, min_area=self.min_area, max_area=self.max_area
        )


@DEGRADATIONS.register_module()
class FixedRectangle:
    """The same rectangle for every image: the paper's centred squares (Fig. 9) and corners (Fig. 8).

    Args:
        height, width: in LR pixels.
        top, left: position; None centres.
    """

    def __init__(self, height: int, width: int, top: int | None = None, left: int | None = None):
        self.height, self.width, self.top, self.left = height, width, top, left

    def __call__(self, keys: Tensor, seed: int, size: int) -> Tensor:
        top = (size - self.height) // 2 if self.top is None else self.top
        left = (size - self.width) // 2 if self.left is None else self.left
        corners = torch.tensor([top, left, self.height, self.width], device=keys.device)
        return rectangle_mask(*corners[:, None].expand(4, len(keys)), size=size)


@DEGRADATIONS.register_module()
class Degradation(BaseDataPreprocessor):
    """Make ``hr, lr_gt, mask, lr`` (and flipped labels) out of a uint8 batch.

    Args:
        occluder: component of role degradation, or its configuration.
        paint: what the occluder looks like, a component of :mod:`ofhkit.data.occluders` or its configuration. It is
            painted over the large face before that is shrunk, as in a photograph. None: the paper's way, holes in the
            small face.
        noise: standard deviation of noise that is added to the painted face before it is shrunk.
        jpeg: quality in which the painted face is coded before it is shrunk.
        size: side of the LR image.
        flip: mirror half of the training images, labels included.
        seed: of training flips and holes, which are functions of (seed, ``sample_id``), the count of training samples.
        test_seed: of test holes, which are functions of (test_seed, ``index``) and so the same for every method.

    Shape:
        - ``hr`` in: (N, 3, 128, 128) uint8 RGB; out: float32 in [0, 1]
        - ``mirrored``: (N,) bool, in training
        - ``lr_gt``, ``lr``: (N, 3, size, size) in [0, 1]; ``mask``: (N, 1, size, size), 1 = occluded
        - ``occluded``, with ``paint``: (N, 3, size, size), the small face with what lies before it
    """

    def __init__(
        self,
        occluder: Any = None,
        size: int = LR_SIZE,
        flip: bool = True,
        seed: int = 0,
        test_seed: int = 0,
        paint: Any = None,
        noise: float | None = None,
        jpeg: int | None = None,
    ):
        super().__init__(non_blocking=True)
        if paint is None and not (noise is None and jpeg is None):
            raise OfhkitError("Degradation: noise and jpeg belong to painted faces; name a paint, such as FlatPaint")
        if not ((noise or 0) >= 0 and 1 <= (jpeg or 1) <= 100):
            raise OfhkitError(f"Degradation: noise is 0 or more and jpeg 1 to 100, got {noise} and {jpeg}")
        self.paint = None if paint is None else DEGRADATIONS.build(paint)
        self.noise, self.jpeg = noise, jpeg
        self.occluder = DEGRADATIONS.build(occluder or dict(type="RandomRectangle"))
        self.size, self.flip, self.seed, self.test_seed = size, flip, seed, test_seed

    def forward(self, data: dict, training: bool = False) -> dict[str, Tensor]:
        batch = self.cast_data(data)
        keys, seed = (batch["sample_id"], self.seed) if training else (batch["index"], self.test_seed)
        if "parsing" in batch:
            batch["parsing"] = batch["parsing"].long()
        if training:
            mirrored = hash_integers(self.views, seed, keys, stream=0).bool()
            batch |= {"hr": self.true_faces(batch["hr"], mirrored), "mirrored": mirrored}
            self._mirror_labels(batch)
        else:
            batch["hr"] = self.true_faces(batch["hr"])
        batch["lr_gt"] = downsample_cubic(batch["hr"], self.size).clamp_(0, 1)
        if self.paint is None:
            batch["mask"] = self.occluder(keys, seed, self.size)
        else:
            fine = self.occluder(keys, seed, HR_SIZE)
            batch["mask"] = cover(fine, self.size)
            batch["occluded"] = downsample_cubic(self._paint_over(batch["hr"], fine, keys, seed), self.size).clamp_(
                0, 1
            )
        batch["lr"] = batch.get("occluded", batch["lr_gt"]) * (1 - batch["mask"])
        return batch

    def _paint_over(self, hr: Tensor, fine: Tensor, keys: Tensor, seed: int) -> Tensor:
        painted = torch.where(fine > 0.5, self.paint(keys, seed, hr), hr)
        if self.noise:
            painted = painted + self.noise * normal_noise(keys, seed, painted)
        if self.jpeg is not None:
            painted = as_jpeg(painted, self.jpeg)
        return painted.clamp(0, 1)

    @property
    def views(self) -> int:
        """How many ways there are to show a training face: as it is, and mirrored."""
        return 2 if self.flip else 1

    @staticmethod
    def true_faces(hr: Tensor, mirrored: Tensor | None = None) -> Tensor:
        """Return uint8 faces (N, 3, H, W) as float32 in [0, 1], mirrored where ``mirrored`` (N,) says so."""
        return (hr if mirrored is None else _mirror(hr, mirrored)).float().div_(255)

    @staticmethod
    def _mirror_labels(batch: dict[str, Tensor]) -> None:
        chosen = batch["mirrored"]
        if "landmarks" in batch:
            width = batch["hr"].shape[-1]
            batch["landmarks"] = torch.where(
                chosen[:, None, None], flip_landmarks(batch["landmarks"], width), batch["landmarks"]
            )
        if "parsing" in batch:
            batch["parsing"] = torch.where(chosen[:, None, None], flip_parsing(batch["parsing"]), batch["parsing"])
