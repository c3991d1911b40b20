"""From picture files to aligned crops: read, decode, warp."""

from dataclasses import dataclass

import numpy as np

from ofhkit.data.pictures import FolderImages, ZipImages, decode
from ofhkit.functional.alignment import crop_matrix, outside_fraction, transform_points, warp
from ofhkit.functional.task import HR_SIZE

UNREADABLE, NO_LANDMARKS, OUTSIDE = "unreadable picture", "no landmarks", "too much outside the picture"


@dataclass
class Chunk:
    """Some pictures on their way into a pack.

    Attributes:
        accepted: names or, once cropped, positions among them.
        points5, points68: (n, 5, 2) and (n, 68, 2), in pixels of the picture or of the crop; NaN where unknown.
        refused: position -> reason.
        faces: (n, 3, size, size) uint8 crops.
    """

    accepted: list
    points5: np.ndarray
    points68: np.ndarray
    refused: dict[int, str]
    faces: np.ndarray | None = None


def crop(
    chunk: Chunk, images: FolderImages | ZipImages, template: np.ndarray, max_outside: float, size: int = HR_SIZE
) -> Chunk:
    """Crop every face of a chunk of names that can be.

    Args:
        images: where pictures are read from.
        template: (5, 2) where the five points belong.
        max_outside: share of the crop that may lie outside the picture.
    """
    accepted, refused, faces, points5, points68 = [], dict(chunk.refused), [], [], []
    for i, name in enumerate(chunk.accepted):
        if i in refused:
            continue
        if not np.isfinite(chunk.points5[i]).all() or np.ptp(chunk.points5[i], 0).max() < 1:
            refused[i] = NO_LANDMARKS
            continue
        image = decode(images, name)
        if image is None:
            refused[i] = UNREADABLE
            continue
        matrix = crop_matrix(chunk.points5[i], template, size)
        if outside_fraction(matrix, *image.shape[:2], size) > max_outside:
            refused[i] = OUTSIDE
            continue
        accepted.append(i)
        faces.append(warp(image, matrix, size).transpose(2, 0, 1))
        points5.append(transform_points(matrix, chunk.points5[i]))
        points68.append(transform_points(matrix, chunk.points68[i]))
    return Chunk(
        accepted,
        np.array(points5, np.float32).reshape(-1, 5, 2),
        np.array(points68, np.float32).reshape(-1, 68, 2),
        refused,
        np.array(faces, np.uint8).reshape(-1, 3, size, size),
    )
