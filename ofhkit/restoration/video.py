"""Videos come back as videos: the restored frames among the others, at the same rate and size, with their sound."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from ofhkit.errors import OfhkitError
from ofhkit.restoration.pictures import VIDEOS

__all__ = ["assemble", "count_frames", "is_video", "steady"]

STILL, SLOW = 2.0, 4.0  # crop pixels by which a face's corners move at most while it counts as still, or as slow
KEPT = 0.7  # share of the last frame's place that a slow face keeps


def is_video(path: Path | None) -> bool:
    """Whether a file is called as videos are."""
    return path is not None and path.suffix.lower() in VIDEOS


def count_frames(path: Path) -> int:
    """How many frames a video announces; 1 where it cannot be opened."""
    frames = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        return max(int(frames.get(cv2.CAP_PROP_FRAME_COUNT)), 1)
    finally:
        frames.release()


def steady(matrix: np.ndarray, before: list[np.ndarray], size: int) -> np.ndarray:
    """Where a face lies in a frame, hardly moved if it hardly moved; so that what is filled in does not tremble.

    Args:
        matrix: (2, 3) picture -> crop.
        before: the last frame's matrices.
        size: side of the crop.
    """
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]], float)
    for last in before:
        to_last = last @ np.linalg.inv(np.vstack([matrix, (0, 0, 1)]))  # crop -> last frame's crop
        moved = corners @ to_last[:, :2].T + to_last[:, 2] - corners
        if np.abs(moved).max() <= STILL:
            return last
        if np.abs(moved).max() <= SLOW:
            return KEPT * last + (1 - KEPT) * matrix
    return matrix


def assemble(source: Path, restored: Mapping[int, Path], out: Path, every: int = 1) -> Path:
    """Write a video of the frames that were restored and, where one was not, of the source's own.

    Args:
        restored: frame number from 1 -> its picture file.
        out: the video, ``.mp4``. The sound is carried over where ``ffmpeg`` is installed and every frame is taken.
        every: only each n-th frame, at a rate so much lower.

    Raises:
        OfhkitError: the video cannot be read again or written.
    """
    frames = cv2.VideoCapture(str(source), cv2.CAP_FFMPEG)
    size = tuple(int(frames.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    rate = (frames.get(cv2.CAP_PROP_FPS) or 25.0) / every
    part = out.with_name(f".{out.stem}.part.mp4")
    writer = cv2.VideoWriter(str(part), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
    try:
        if not writer.isOpened():
            raise OfhkitError(f"{out} cannot be written: OpenCV has no encoder for it; the frames lie beside it")
        number = 0
        while frames.grab():
            number += 1
            if (number - 1) % every:
                continue
            image = cv2.imread(str(restored[number])) if number in restored else None
            if image is None or image.shape[1::-1] != size:
                image = frames.retrieve()[1]
            writer.write(image)
        writer.release()
        if every > 1 or not _with_sound(part, source, out):
            part.replace(out)
    finally:
        frames.release()
        writer.release()
        part.unlink(missing_ok=True)
    return out


def _with_sound(silent: Path, source: Path, out: Path) -> bool:
    """Join the pictures with the source's sound; False where ffmpeg is not there or cannot."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return False
    joined = silent.with_name(f"{silent.stem}.sound.mp4")
    command = [ffmpeg, "-v", "error", "-y", "-i", str(silent), "-i", str(source), "-map", "0:v", "-map", "1:a?",
               "-c:v", "copy", "-c:a", "copy", "-shortest", str(joined)]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False).returncode == 0
        if done:
            joined.replace(out)
        return done
    finally:
        joined.unlink(missing_ok=True)
