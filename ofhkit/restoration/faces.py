"""Finding faces and bringing them before the network: aligned 128x128 crops, shrunk to 16x16 as in training.

Every face has a matrix from picture to crop. What lies under the hole is filled by diffusion before anything is
resampled, so that its colors leak neither into the detector nor over the hole's rim into known pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ofhkit.errors import OfhkitError
from ofhkit.functional.alignment import DEFAULT_TEMPLATE, crop_matrix, transform_points, warp
from ofhkit.functional.face_labels import five_points
from ofhkit.functional.images import to_float
from ofhkit.functional.resample import downsample_cubic
from ofhkit.functional.task import HR_SIZE, LR_SIZE
from ofhkit.models.landmark_priors.face_api import FaceLandmark68
from ofhkit.models.mask_finder import MaskFinder
from ofhkit.registry import PRIORS
from ofhkit.restoration.face_detector import TinyFaceDetector, suppress
from ofhkit.restoration.masks import Box

__all__ = ["LR_SIZE", "FaceFinder", "FaceInput", "crop_and_downsample", "find_before", "scaling"]

NET = 112
HIDDEN_SHARE = 1 / 8  # of a low-resolution pixel, from which on it counts as hidden
CONFIDENCE = 0.4
BOX_CENTER = (63.5, 70.5)  # where the middle of a face's box lies in a crop of its size, as the detector draws it
TRUST = 4  # how much more a visible point counts than one under the hole
DETECTOR_SIZES = (416, 224, 608)
LARGE, LARGE_SIZE = 900, 1216


@dataclass(frozen=True)
class FaceInput:
    """What the network gets to see of a face.

    Attributes:
        crop: (128, 128, 3) uint8, the hole filled by diffusion; None for a tiny face.
        lr: (3, 16, 16) float in [0, 1].
        mask: (1, 16, 16) float, 1 = occluded.
        hidden: (128, 128) bool: pixels of the crop that the hole touches; None for a tiny face.
    """

    crop: np.ndarray | None
    lr: Tensor
    mask: Tensor
    hidden: np.ndarray | None = None


def scaling(side: int) -> np.ndarray:
    """Matrix that takes a square picture as it is to the crop.

    >>> scaling(256)[0].tolist()
    [0.5, 0.0, -0.25]
    """
    factor = HR_SIZE / side
    return np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2]])


def crop_and_downsample(rgb: np.ndarray, mask: np.ndarray, matrix: np.ndarray | None) -> FaceInput:
    """Crop and shrink one face; without a matrix the picture is the low-resolution face itself."""
    if matrix is None:
        lr = to_float(rgb)
        return FaceInput(None, lr, torch.from_numpy(mask)[None].float())
    plain = rgb.shape[:2] == (HR_SIZE, HR_SIZE) and np.array_equal(matrix, scaling(HR_SIZE))
    crop = rgb if plain else warp(rgb, matrix)
    cover = np.zeros((HR_SIZE, HR_SIZE), np.uint8)
    if mask.any():
        full = mask * np.uint8(255)
        cover = full if plain else _warp_mask(full, matrix)
        crop = cv2.inpaint(np.ascontiguousarray(crop), (cover > 2).astype(np.uint8), 3, cv2.INPAINT_TELEA)
    block = HR_SIZE // LR_SIZE
    share = (cover > 127).reshape(LR_SIZE, block, LR_SIZE, block).mean((1, 3))
    x = to_float(crop)[None]
    lr = downsample_cubic(x, LR_SIZE).clamp(0, 1)[0]
    return FaceInput(crop, lr, torch.from_numpy(share >= HIDDEN_SHARE)[None].float(), cover > 2)


def _warp_mask(mask: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """As :func:`warp`, but nothing is hidden outside the picture, and edges do not overshoot."""
    n = 4
    fine = matrix * n
    fine[:, 2] += (n - 1) / 2
    size = (n * HR_SIZE, n * HR_SIZE)
    shrink = 1 / np.sqrt(abs(np.linalg.det(fine[:, :2])))
    if shrink > 1:  # every fine sample covers more than a pixel: average first
        mask = cv2.blur(mask, (int(np.ceil(shrink)),) * 2)
    samples = cv2.warpAffine(mask, fine, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return cv2.resize(samples, (HR_SIZE, HR_SIZE), interpolation=cv2.INTER_AREA)


def find_before(
    finder: MaskFinder,
    seen: Sequence[FaceInput],
    matrices: Sequence[np.ndarray | None],
    shape: tuple[int, int],
    rim: int,
) -> np.ndarray:
    """Find what lies before the faces of a picture: (H, W) bool, whole pixels of the small faces.

    Args:
        rim: crop pixels round them that are hidden too.
    """
    masks = finder.find(torch.stack([face.lr for face in seen]))[:, 0].numpy().astype(np.uint8)
    before = np.zeros(shape, bool)
    for mask, matrix in zip(masks, matrices):
        if matrix is None:
            before |= mask > 0
        elif mask.any():
            large = cv2.resize(mask, (HR_SIZE, HR_SIZE), interpolation=cv2.INTER_NEAREST)
            large = cv2.dilate(large, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1,) * 2))
            how = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
            before |= cv2.warpAffine(large, matrix, shape[::-1], flags=how) > 0
    return before


class FaceFinder:
    """Finds the faces of a photograph.

    Args:
        template: the five points that the model's training faces were aligned to.
        device: where the networks run.
        confidence: the detector's score from which on a find counts; half of it where a hole may hide the face.
        completer: an inpainter of 128x128 faces: what it fills in is read for the points, rather than diffusion.
    """

    def __init__(
        self,
        template: np.ndarray = DEFAULT_TEMPLATE,
        device: torch.device | str = "cpu",
        confidence: float = CONFIDENCE,
        completer: nn.Module | None = None,
    ):
        if not 0 < confidence < 1:
            raise OfhkitError(f"confidence must lie between 0 and 1, got {confidence}")
        self.template, self.device = np.asarray(template, float), torch.device(device)
        self.confidence, self.completer = confidence, completer
        self.detector = TinyFaceDetector().to(device)
        self.landmarks = FaceLandmark68().requires_grad_(False).eval().to(device)
        self.refiner = PRIORS.build(dict(type="FaceAPI68", template=self.template.tolist())).to(device)

    @torch.no_grad()
    def find(self, rgb: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find faces, best first.

        Shape:
            rgb (H, W, 3) uint8, mask (H, W) bool -> boxes (F, 5): left, top, width, height, score; matrices (F, 2, 3)
            from picture to crop
        """
        small, factor = _reduced(rgb, mask)
        boxes = self._detect(small, self.confidence)
        if len(boxes) == 0 and mask.any():
            boxes = self._detect(small, self.confidence / 2)
        boxes[:, :4] /= factor
        matrices = [self._align(rgb, mask, box) for box in boxes]
        kept = [i for i, matrix in enumerate(matrices) if matrix is not None]
        return boxes[kept].reshape(-1, 5), np.array([matrices[i] for i in kept]).reshape(-1, 2, 3)

    @torch.no_grad()
    def place(self, rgb: np.ndarray, mask: np.ndarray, boxes: Sequence[Box]) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`find` where a person says where the faces are; a box without a readable face is taken as framed."""
        given = np.array([(*box, 1.0) for box in boxes]).reshape(-1, 5)
        matrices = []
        for box in given:
            matrix = self._align(rgb, mask, box)
            if matrix is None:
                factor = HR_SIZE / max(box[2:4])
                middle = factor * (box[:2] + box[2:4] / 2)
                matrix = np.column_stack([factor * np.eye(2), np.array(BOX_CENTER) - middle])
            matrices.append(matrix)
        return given, np.array(matrices).reshape(-1, 2, 3)

    def _align(self, rgb: np.ndarray, mask: np.ndarray, box: np.ndarray) -> np.ndarray | None:
        """Matrix from picture to crop of the face in a box; None where no face can be read there."""
        points = self._five_points(rgb, mask, box)
        matrix = None if points is None else self._fit(points, mask)
        for _ in range(2 if self.completer is not None and mask.any() else 1):  # the second time in a completed crop
            matrix = None if matrix is None else self._refine(rgb, mask, matrix)
        return matrix

    def _detect(self, image: np.ndarray, score: float) -> np.ndarray:
        """Boxes at several sizes; a tightly cropped face is found inside a margin."""
        side = max(image.shape[:2])
        if side > LARGE:
            both = [self.detector.detect(image, size, score) for size in (416, LARGE_SIZE)]
            boxes = suppress(np.concatenate(both), 0.3)
            if len(boxes):
                return boxes
        for size in DETECTOR_SIZES:
            boxes = self.detector.detect(image, size, score)
            if len(boxes):
                return boxes
        margin = side // 3
        wide = cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        boxes = self.detector.detect(wide, 224, score)
        boxes[:, :2] -= margin
        return boxes

    def _five_points(self, rgb: np.ndarray, mask: np.ndarray, box: np.ndarray) -> np.ndarray | None:
        """Five points in picture pixels by the network that reads detected boxes; None where they make no face."""
        side = max(box[2:4])
        left, top = box[0] + (box[2] - side) / 2, box[1] + (box[3] - side) / 2
        factor = HR_SIZE / side
        matrix = np.array([[factor, 0, -left * factor], [0, factor, -top * factor]])
        crop = crop_and_downsample(rgb, mask, matrix).crop
        x = torch.from_numpy(cv2.resize(crop, (NET, NET), interpolation=cv2.INTER_AREA)).to(self.device)
        points = five_points(self.landmarks(x.permute(2, 0, 1)[None].float())[0].double().cpu().numpy())
        eyes = np.linalg.norm(points[1] - points[0])
        if not (0.15 < eyes < 0.9 and points[3:, 1].mean() > points[:2, 1].mean()):
            return None
        return points * side + (left, top)

    def _refine(self, rgb: np.ndarray, mask: np.ndarray, matrix: np.ndarray) -> np.ndarray | None:
        """Read the points again in the aligned crop; None where they fit the template badly, so that it is no face."""
        seen = crop_and_downsample(rgb, mask, matrix)
        x = to_float(seen.crop)[None].to(self.device)
        if self.completer is not None and seen.hidden.any():
            x = self.completer(x, torch.from_numpy(seen.hidden)[None, None].to(x))
        points = five_points(self.refiner(x)[0].double().cpu().numpy())
        full = np.vstack([matrix, (0, 0, 1)])
        again = self._fit(points, mask, np.linalg.inv(full)[:2])
        error = np.sqrt(((transform_points(again, points) - self.template) ** 2).sum(-1).mean())
        scale = np.sqrt(abs(np.linalg.det(again[:, :2])))
        if error > 12 or not 0.5 < scale < 2:
            return None
        return again @ full

    def _fit(self, points: np.ndarray, mask: np.ndarray, to_picture: np.ndarray | None = None) -> np.ndarray:
        """Matrix that takes points to the template; a point under the hole was guessed and counts less."""
        x, y = np.rint(points if to_picture is None else transform_points(to_picture, points)).astype(int).T
        height, width = mask.shape
        hidden = mask[y.clip(0, height - 1), x.clip(0, width - 1)]
        often = np.where(hidden, 1, TRUST)
        return crop_matrix(points.repeat(often, 0), self.template.repeat(often, 0))


def _reduced(rgb: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, float]:
    """The picture at a size that the detector needs at the most, its hole filled; and the factor."""
    factor = min(1.0, LARGE_SIZE / max(rgb.shape[:2]))
    if factor < 1:
        size = (max(1, round(rgb.shape[1] * factor)), max(1, round(rgb.shape[0] * factor)))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
    if mask.any():
        if mask.all():
            raise OfhkitError("everything is hidden: there is nothing to go by")
        rgb = cv2.inpaint(np.ascontiguousarray(rgb), mask.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    return rgb, factor
