"""From picture files to aligned crops: read, decode, warp."""

from dataclasses import dataclass

import numpy as np

from ofhkit.data.pictures import FolderImages, ZipImages, decode
from ofhkit.functional.alignment import crop_matrix, outside_fraction, transform_points, warp

UNREADABLE, NO_LANDMARKS, OUTSIDE = "unreadable picture", "no landmarks", "too much outside the picture"


@dataclass
class Job:
    """Candidates of one chunk: names, points in picture pixels (NaN where unknown), and who is refused already."""

    names: list[str]
    points5: np.ndarray
    points68: np.ndarray
    refused: dict[int, str]


@dataclass
class Chunk:
    """Result of a job: crops of the accepted (by position in the job) and reasons of the refused."""

    accepted: list[int]
    faces: np.ndarray
    points5: np.ndarray
    points68: np.ndarray
    refused: dict[int, str]


@dataclass
class Cropper:
    """Turns a job into a chunk.

    Attributes:
        images: where pictures are read from.
        template: (5, 2) where the five points belong.
        max_outside: share of the crop that may lie outside the picture.
        size: side of the crop.
    """

    images: FolderImages | ZipImages
    template: np.ndarray
    max_outside: float
    size: int = 128

    def __call__(self, job: Job) -> Chunk:
        """Crop every face of the job that can be."""
        accepted, refused, faces, points5, points68 = [], dict(job.refused), [], [], []
        for i, name in enumerate(job.names):
            if i in refused:
                continue
            if not np.isfinite(job.points5[i]).all() or np.ptp(job.points5[i], 0).max() < 1:
                refused[i] = NO_LANDMARKS
                continue
            image = decode(self.images, name)
            if image is None:
                refused[i] = UNREADABLE
                continue
            matrix = crop_matrix(job.points5[i], self.template, self.size)
            if outside_fraction(matrix, *image.shape[:2], self.size) > self.max_outside:
                refused[i] = OUTSIDE
                continue
            accepted.append(i)
            faces.append(warp(image, matrix, self.size).transpose(2, 0, 1))
            points5.append(transform_points(matrix, job.points5[i]))
            points68.append(transform_points(matrix, job.points68[i]))
        return Chunk(
            accepted,
            np.array(faces, np.uint8).reshape(-1, 3, self.size, self.size),
            np.array(points5, np.float32).reshape(-1, 5, 2),
            np.array(points68, np.float32).reshape(-1, 68, 2),
            refused,
        )
