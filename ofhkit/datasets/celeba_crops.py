"""From a picture file to an aligned crop, in a few light processes: they read, decode and warp, nothing else."""

from __future__ import annotations

import io
import multiprocessing
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from ofhkit.datasets.celeba_files import FolderImages, ZipImages
from ofhkit.errors import OfhkitError
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


def decode(images: FolderImages | ZipImages, name: str) -> np.ndarray | None:
    """A picture as (H, W, 3) uint8 RGB, or None where it cannot be read whole.

    Pillow decodes, because it refuses a JPEG that ends early; OpenCV fills the rest with grey and only warns.
    """
    try:
        with Image.open(io.BytesIO(images.read(name))) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def crop_all(cropper: Cropper, jobs: Iterable[Job], workers: int) -> Iterator[Chunk]:
    """Results of the jobs, in order; at most two jobs a worker are under way.

    Args:
        workers: processes; 0 = do it here.

    Raises:
        OfhkitError: a worker was killed.
    """
    if workers == 0:
        yield from map(cropper, jobs)
        return
    method = "fork" if sys.platform == "linux" else "spawn"  # forked workers share the parent's modules: light at once
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context(method), _start_worker, (cropper, os.getpid()))
    under_way: deque = deque()
    try:
        for job in jobs:
            under_way.append(pool.submit(_work, job))
            if len(under_way) > 2 * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    except BrokenProcessPool:
        raise OfhkitError(
            "a worker process was killed, perhaps for want of memory; run the same command again with fewer --workers: "
            "it goes on where it stopped"
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_cropper: Cropper


def _start_worker(cropper: Cropper, parent: int) -> None:
    global _cropper
    _cropper = cropper
    cv2.setNumThreads(1)
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()


def _die_with(parent: int) -> None:
    """End this worker when its parent was killed; it would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _work(job: Job) -> Chunk:
    return _cropper(job)
