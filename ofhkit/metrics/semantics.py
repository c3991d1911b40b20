"""Whether the hallucinated face has its parts where the true one has them, and is the same person's.

Both faces are read by the same network. It must not be one that a loss has used; the defaults are the networks that
ship with the package, which no configuration trains against.
"""

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofhkit.functional.face_labels import EYES, MOUTH, NOSE, PARSING_LABELS
from ofhkit.functional.geometry import iou, nrmse
from ofhkit.functional.image_quality import enlarge_mask
from ofhkit.metrics.base import PerImageMetric, regions
from ofhkit.models.face_embedding import FaceEmbedding
from ofhkit.registry import METRICS, PRIORS

__all__ = ["NRMSE", "Identity", "LabelIoU", "LandmarkError", "ParsingIoU"]

_BACKGROUND = 0
_LABELS = {
    "eyes": ("left_eye", "right_eye"),
    "nose": ("nose",),
    "mouth": ("upper_lip", "inner_mouth", "lower_lip"),
}
_POINTS = {"eyes": EYES, "nose": NOSE, "mouth": MOUTH}


class _Reader:
    """A network that is built when it is first needed, on the device where it is needed.

    Args:
        reduce: what is kept of the network's output.
    """

    def __init__(self, component: nn.Module | Mapping, reduce: Callable[[Tensor], Tensor] = lambda output: output):
        self.component = component
        self.network: nn.Module | None = None
        self.channels = 0  # of the output
        self.last: tuple[Tensor, Tensor] | None = None  # true faces, and what was read from them
        self.reduce = reduce

    @torch.no_grad()
    def __call__(self, face: Tensor) -> Tensor:
        if self.network is None:
            with torch.random.fork_rng(devices=[]), torch.inference_mode(False):
                self.network = PRIORS.build(self.component).eval()
        output = self.network.to(face.device)(face)
        self.channels = output.shape[1]
        return self.reduce(output)

    def truth(self, faces: Tensor) -> Tensor:
        """Read a batch's true faces (N, 3, H, W) once, for all the methods that are scored on it."""
        if self.last is None or self.last[0] is not faces:
            self.last = faces, self(faces)
        return self.last[1]


@METRICS.register_module()
class NRMSE(PerImageMetric):
    """Landmarks of the hallucinated against those of the true face, mean distance in percent of the eye distance.

    ``NRMSE_hole`` and ``NRMSE_known`` average over the points that lie inside and outside the hole in the true face,
    ``NRMSE_eyes``, ``NRMSE_nose`` and ``NRMSE_mouth`` over the points of that part.

    Args:
        landmark_prior: component of role prior, or its configuration.
        normaliser: ``outer_eyes``, ``pupils`` or ``bbox``.
    """

    name, unit, decimals, higher_is_better, headline = "NRMSE", "%", 2, False, True
    parts: ClassVar = {
        "NRMSE_hole": "NRMSE in hole",
        "NRMSE_known": "NRMSE outside",
        **{f"NRMSE_{part}": f"NRMSE of {part}" for part in _POINTS},
    }
    optional = ("NRMSE_hole", "NRMSE_known")

    def __init__(self, landmark_prior: nn.Module | Mapping | None = None, normaliser: str = "outer_eyes"):
        super().__init__()
        self.detect = _Reader(landmark_prior or {"type": "FaceAPI68"})
        self.normaliser = normaliser

    def measure(self, sr: Tensor, hr: Tensor, mask: Tensor) -> dict[str, Tensor]:
        pred, target = self.detect(sr), self.detect.truth(hr)
        inside = _lies_in(target, enlarge_mask(mask, hr)[:, 0])
        chosen = {"NRMSE": None, "NRMSE_hole": inside, "NRMSE_known": ~inside}
        for part, points in _POINTS.items():
            chosen[f"NRMSE_{part}"] = torch.zeros_like(inside).index_fill(
                1, torch.arange(68)[points].to(hr.device), True
            )
        return {name: nrmse(pred, target, self.normaliser, selected) for name, selected in chosen.items()}


@METRICS.register_module()
class Identity(PerImageMetric):
    """Cosine of the face embeddings of the hallucinated and the true face.

    Embeddings of two people are not orthogonal: read the number between that of other people's faces and 1 (the docs
    state both). A network sees a person where people may not, and the other way round.

    Args:
        embedder: network (N, 3, 128, 128) -> (N, D); None: :class:`ofhkit.models.face_embedding.FaceEmbedding`.
    """

    name, title, decimals, higher_is_better, headline = "Identity", "identity", 4, True, True

    def __init__(self, embedder: nn.Module | None = None):
        super().__init__()
        self.embed = _Reader(embedder or FaceEmbedding())

    def measure(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        return {"Identity": F.cosine_similarity(self.embed(sr), self.embed.truth(hr))}


def _lies_in(points: Tensor, region: Tensor) -> Tensor:
    """Which of the points (N, P, 2) fall on pixels where ``region`` (N, H, W) is 1."""
    height, width = region.shape[-2:]
    x, y = points.round().long().unbind(-1)
    rows = torch.arange(len(points), device=points.device)[:, None]
    return region[rows, y.clamp(0, height - 1), x.clamp(0, width - 1)] > 0.5


def _labels(logits: Tensor) -> Tensor:
    return logits.argmax(1).to(torch.uint8)


@METRICS.register_module()
class ParsingIoU(PerImageMetric):
    """Label maps of the hallucinated against those of the true face: mean IoU of the classes in either.

    ``IoU`` counts the background as a class, ``IoU_parts`` leaves it out; ``IoU_hole`` and ``IoU_known`` are ``IoU``
    inside and outside the hole; ``IoU_eyes``, ``IoU_nose`` and ``IoU_mouth`` that of the labels of a part, where the
    parser's labels are the package's.

    Args:
        parser: component of role prior, or its configuration.
    """

    name, title, decimals, higher_is_better, headline = "IoU", "parsing IoU", 4, True, True
    parts: ClassVar = {
        "IoU_parts": "IoU without background",
        "IoU_hole": "IoU in hole",
        "IoU_known": "IoU outside",
        **{f"IoU_{part}": f"IoU of {part}" for part in _LABELS},
    }
    optional = tuple(parts)

    def __init__(self, parser: nn.Module | Mapping | None = None):
        super().__init__()
        component = parser or {"type": "FaceParser", "weights": "face_parser.safetensors"}
        self.parse = _Reader(component, _labels)

    def measure(self, sr: Tensor, hr: Tensor, mask: Tensor) -> dict[str, Tensor]:
        pred, target = self.parse(sr).long(), self.parse.truth(hr).long()
        classes = self.parse.channels
        large = enlarge_mask(mask, hr)
        values = {name: iou(pred, target, classes, mask=region) for name, region in regions("IoU", large)}
        if classes == len(PARSING_LABELS):
            for part, labels in _LABELS.items():
                others = [i for i, label in enumerate(PARSING_LABELS) if label not in labels]
                values[f"IoU_{part}"] = iou(pred, target, classes, ignore=others)
        return values | {"IoU_parts": iou(pred, target, classes, ignore=_BACKGROUND)}


@METRICS.register_module()
class LandmarkError(PerImageMetric):
    """A landmark network against labelled points, mean distance in percent of the eye distance (``NRMSE``).

    Args:
        normaliser: ``outer_eyes``, ``pupils`` or ``bbox``.
    """

    name, unit, decimals, higher_is_better, headline = "NRMSE", "%", 2, False, True

    def __init__(self, normaliser: str = "outer_eyes"):
        super().__init__()
        self.normaliser = normaliser

    def measure(self, predicted_landmarks: Tensor, landmarks: Tensor) -> dict[str, Tensor]:
        return {"NRMSE": nrmse(predicted_landmarks, landmarks, self.normaliser)}


@METRICS.register_module()
class LabelIoU(PerImageMetric):
    """A parser against labelled pixels: ``IoU`` with the background as a class, ``IoU_parts`` without."""

    name, decimals, higher_is_better, headline = "IoU", 4, True, True
    parts: ClassVar = {"IoU_parts": "IoU without background"}
    optional = ("IoU_parts",)

    def measure(self, parsing_logits: Tensor, parsing: Tensor) -> dict[str, Tensor]:
        pred, classes = parsing_logits.argmax(1), parsing_logits.shape[1]
        return {"IoU": iou(pred, parsing, classes), "IoU_parts": iou(pred, parsing, classes, ignore=_BACKGROUND)}
