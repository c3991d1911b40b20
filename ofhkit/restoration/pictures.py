"""Reading picture files and videos: each picture of a file, or one sentence that names the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from ofhkit.data.picture_checks import MEMORY, check_size, count_frames, open_picture
from ofhkit.data.picture_decoding import Picture, read_frames, to_picture
from ofhkit.errors import OfhkitError
from ofhkit.files import open_regular

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
    frames = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        width, height, announced = (int(frames.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH,
            cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_COUNT))  # fmt: skip
        check_size(width, height, memory, _VIDEO_WEIGHT)
        number = 0
        while frames.grab():
            number += 1
            if (number - 1) % every == 0:
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
