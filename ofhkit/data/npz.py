"""Arrays out of an ``.npz`` archive that may be damaged, or made to fill the memory."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError

import numpy as np

__all__ = ["UNREADABLE", "read_npz", "reason"]

UNREADABLE = (
    OSError, ValueError, LookupError, TypeError, EOFError, SyntaxError, TokenError, zlib.error, zipfile.BadZipFile
)  # fmt: skip
"""What NumPy raises over a damaged file."""


def reason(error: Exception) -> str:
    """The first line of what NumPy says, which may quote the file at length.

    >>> reason(ValueError('no array\\nb...')), reason(EOFError())
    ('no array', 'EOFError')
    """
    return f"{str(error).partition(chr(10))[0] or type(error).__name__:.200}"


def read_npz(path: Path, names: Sequence[str], most: int) -> list[np.ndarray]:
    """Return the arrays ``names`` of an archive.

    Args:
        most: bytes to which the archive may unpack; it says so itself, so that nothing larger is begun.

    Raises:
        ValueError: the file is damaged, lacks an array, or unpacks to more.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > most:
            raise ValueError(f"it unpacks to {size:,} bytes, more than {most:,}")
        with np.load(path) as arrays:
            return [arrays[name] for name in names]
    except UNREADABLE as error:
        raise ValueError(reason(error)) from None
