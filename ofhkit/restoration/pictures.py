"""Reading picture files and videos: each picture of a file, or one sentence that names the file."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from ofhkit.data.picture_checks import MEMORY, check_size, count_frames, open_picture
from ofhkit.data.picture_decoding import Picture, read_frames, to_picture
from ofhkit.errors import OfhkitError
from ofhkit.runtime.files import open_regular

__all__ = ["MEMORY", "PICTURES", "VIDEOS", "Picture", "is_still", "read_pictures", "to_picture"]

PICTURES = (".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".mpo", ".pgm", ".png", ".pnm", ".ppm", ".tga",
            ".tif", ".tiff", ".webp")  # fmt: skip
VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
_EBML = b"\x1a\x45\xdf\xa3"  # how Matroska and WebM start
_STARTS = (b"RIFF", _EBML, b"\0\0\1\xba", b"\0\0\1\xb3", b"\x30\x26\xb2\x75")  # AVI, MPEG, WMV
_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # of MP4 and QuickTime, after a length
_VIDEO_WEIGHT = 8  # decoders keep earlier frames


def read_pictures(path: str | Path, every: int = 1, memory: int = MEMORY) -> Iterator[Picture]:
    """Read a file: one picture, or all frames of a video or an animation.

    Args:
        every: take every n-th frame.
        memory: bytes that reading and restoring a picture may take at the most; what needs more is refused before it
            is decoded.

    Raises:
        OfhkitError: no such file, no regular file, empty, not a picture, damaged, or too large; one sentence with the
            file's name. Of a torn video after the frames that could be read.
    """
    path = Path(path)
    with open_regular(path) as file:
        try:
            if path.suffix.lower() in VIDEOS:
                yield from _video(path, file, every, memory)
            else:
                for picture in read_frames(file, path.stem, every, memory):
                    yield replace(picture, path=path)
        except OfhkitError as error:
            raise OfhkitError(f"{path}: {error}") from None


def is_still(path: str | Path, memory: int = MEMORY) -> bool:
    """Whether a file holds no more than one picture, as its header says; so does one that cannot be read.

    >>> is_still("nowhere.png"), is_still("nowhere.mp4")
    (True, False)
    """
    if Path(path).suffix.lower() in VIDEOS:
        return False
    try:
        with open_regular(path) as file:
            return count_frames(open_picture(file, memory), memory) == 1
    except Exception:  # as in reading: decoders of damaged files raise anything
        return True


def _video(path: Path, file: BinaryIO, every: int, memory: int) -> Iterator[Picture]:
    start = file.read(12)
    if not start:
        raise OfhkitError("the file is empty")
    if not (
        start.startswith(_STARTS) or start[4:8] in _ATOMS
    ):  # a list of other files is no video, though FFmpeg opens it
        raise OfhkitError("not a video in a format that is understood")
    complaints: list[str] = []
    with _heard(complaints):
        frames = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        width, height, announced = (int(frames.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH,
            cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_COUNT))  # fmt: skip
        check_size(width, height, memory, _VIDEO_WEIGHT)
        number = 0
        while True:
            with _heard(complaints):
                if not frames.grab():
                    break
            number += 1
            if (number - 1) % every == 0:
                with _heard(complaints):
                    good, frame = frames.retrieve()
                if not good:
                    raise OfhkitError(f"frame {number:,} cannot be decoded: the video is damaged")
                name = f"{path.stem}_{number:05d}"
                yield Picture(name, np.ascontiguousarray(frame[..., ::-1]), None, path, frame=number)
    finally:
        frames.release()
    if not number:
        raise OfhkitError("not a video that OpenCV can read")
    exact = start.startswith(b"RIFF") or start[4:8] in _ATOMS
    spare = 0 if exact else announced // 20 + 1  # where FFmpeg guesses from duration and rate
    if announced - number > spare:
        raise OfhkitError(f"only {number:,} of its {announced:,} frames can be read: the video is torn")
    if complaints:
        said = re.sub(" @ 0x[0-9a-f]+", "", complaints[0])
        raise OfhkitError(f"some of its {number:,} frames are damaged, their decoder says: {said[:200]}")


@contextmanager
def _heard(complaints: list[str]) -> Iterator[None]:
    """Keep the errors that FFmpeg conceals and only prints: OpenCV hands them on to nobody."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            complaints += file.read(2**16).decode("utf-8", "replace").splitlines()
