"""How far landmarks are apart, and how well label maps overlap; one number an image."""

from collections.abc import Callable

import torch
from torch import Tensor

from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.functional.face_labels import LEFT_EYE, RIGHT_EYE

__all__ = ["NORMALISERS", "iou", "nrmse"]


NORMALISERS: dict[str, Callable[[Tensor], Tensor]] = {
    "bbox": lambda points: (points.amax(1) - points.amin(1)).norm(dim=-1),
    "outer_eyes": lambda points: (points[:, 36] - points[:, 45]).norm(dim=-1),
    "pupils": lambda points: (points[:, LEFT_EYE].mean(1) - points[:, RIGHT_EYE].mean(1)).norm(dim=-1),
}


def nrmse(pred: Tensor, target: Tensor, normaliser: str = "outer_eyes", selected: Tensor | None = None) -> Tensor:
    """Mean distance of corresponding landmarks, in percent of a distance in the target face.

    Args:
        normaliser: ``outer_eyes`` (outer corners of the eyes), ``pupils`` (eye centres) or ``bbox`` (diagonal of the
            box round all points), measured on ``target``.
        selected: average over these points only; an image with none gives NaN.

    Shape:
        pred, target (N, 68, 2) pixels. selected (N, 68) bool. Output (N,) percent.

    Raises:
        OfhkitError: unknown normaliser, shapes that differ.

    >>> face = torch.zeros(1, 68, 2); face[:, 45, 0] = 50
    >>> nrmse(face + torch.tensor([3.0, 4.0]), face)
    tensor([10.])
    """
    if normaliser not in NORMALISERS:
        raise OfhkitError(f"unknown normaliser {normaliser!r}; {did_you_mean(normaliser, NORMALISERS)}")
    if pred.shape != target.shape or target.shape[1:] != (68, 2):
        raise OfhkitError(f"landmarks must be equal (N, 68, 2), got {tuple(pred.shape)} and {tuple(target.shape)}")
    distance = (pred - target).norm(dim=-1)
    mean = distance.mean(1) if selected is None else (distance * selected).sum(1) / selected.sum(1)
    return 100 * mean / NORMALISERS[normaliser](target)


def iou(
    pred_labels: Tensor,
    target_labels: Tensor,
    num_classes: int,
    ignore: int | list[int] | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Intersection over union, averaged over the classes that occur in either map of an image.

    Args:
        ignore: classes that are left out of the average (their pixels still count as errors of other classes).
        mask: look only at pixels where it is 1; an image without any class left gives NaN.

    Shape:
        pred_labels, target_labels (N, H, W) integers in [0, num_classes). mask (N, 1, H, W) in {0, 1}. Output (N,).

    Raises:
        OfhkitError: labels out of range, shapes that differ.

    >>> iou(torch.tensor([[[0, 1, 1, 1]]]), torch.tensor([[[0, 0, 1, 1]]]), num_classes=3)
    tensor([0.5833])
    """
    if pred_labels.shape != target_labels.shape or target_labels.ndim != 3:
        raise OfhkitError(
            f"label maps must be equal (N, H, W), got {tuple(pred_labels.shape)} and {tuple(target_labels.shape)}"
        )
    count, joint = len(target_labels), num_classes**2
    pred, target = pred_labels.flatten(1).long(), target_labels.flatten(1).long()
    for labels in (pred, target):
        if labels.numel() and (labels.min() < 0 or labels.max() >= num_classes):
            raise OfhkitError(f"label maps hold labels outside 0..{num_classes - 1}; check num_classes")
    cell = target * num_classes + pred + joint * torch.arange(count, device=target.device)[:, None]
    if mask is not None:
        cell = cell[mask.flatten(1) > 0.5]
    confusion = torch.bincount(cell.flatten(), minlength=count * joint).view(count, num_classes, num_classes)
    both = confusion.diagonal(dim1=1, dim2=2)
    either = confusion.sum(1) + confusion.sum(2) - both
    present = either > 0
    if ignore is not None:
        present[:, ignore] = False
    ratio = torch.where(present, both / either.clamp(min=1), 0)
    return ratio.sum(1) / present.sum(1)
