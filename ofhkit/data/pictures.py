"""Pictures of a folder or of a zip, read by name and decoded whole or not at all."""

import io
import os
import zipfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np

from ofhkit.data.picture_checks import MEMORY, SHARE
from ofhkit.data.picture_decoding import read_frames
from ofhkit.errors import OfhkitError
from ofhkit.runtime.files import open_regular

PICTURES = (".jpg", ".jpeg", ".png")


class FolderImages:
    """Pictures of one folder, by name."""

    def __init__(self, folder: Path):
        self.path = folder

    def names(self) -> list[str]:
        """Names of all pictures, sorted."""
        with os.scandir(self.path) as entries:
            return sorted(e.name for e in entries if _is_picture(e.name))

    def open(self, name: str) -> BinaryIO:
        """One picture's file; :class:`OfhkitError` where it cannot be read."""
        return open_regular(self.path / name)


class ZipImages:
    """Pictures inside a zip, by name without folder; every process opens the file for itself."""

    def __init__(self, path: Path):
        self.path = path
        self._zip: tuple[int, zipfile.ZipFile] | None = None
        try:
            members = self.archive().namelist()
        except (OSError, zipfile.BadZipFile) as error:
            raise OfhkitError(f"{path} is not a whole zip file ({error}); download it again") from None
        self.lists = {PurePosixPath(m).name: m for m in members if m.endswith((".txt", ".csv", ".npz")) and _real(m)}
        self.members = {PurePosixPath(m).name: m for m in members if _is_picture(m) and _real(m)}

    def names(self) -> list[str]:
        """Names of all pictures, sorted."""
        return sorted(self.members)

    def open(self, name: str) -> BinaryIO:
        """One picture as a file in memory; ``OSError`` where it cannot be read (its checksum is verified)."""
        return io.BytesIO(self.read(self.members[name]))

    def read(self, member: str) -> bytes:
        """Contents of a member; ``OSError`` where it is damaged, encrypted or larger than a picture may be."""
        if self.archive().getinfo(member).file_size > MEMORY // SHARE:
            raise OSError(f"{member} has more than {MEMORY // SHARE // 10**6} MB")
        try:
            return self.archive().read(member)
        except (zipfile.BadZipFile, zipfile.zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
            raise OSError(str(error)) from None

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_zip": None}

    def archive(self) -> zipfile.ZipFile:
        """The zip, opened by this process."""
        if self._zip is None or self._zip[0] != os.getpid():
            self._zip = (os.getpid(), zipfile.ZipFile(self.path))
        return self._zip[1]


def decode(images: FolderImages | ZipImages, name: str) -> np.ndarray | None:
    """A picture as (H, W, 3) uint8 RGB, or None where it cannot be read whole; of an animation the first frame."""
    try:
        with images.open(name) as file:
            return next(read_frames(file, name)).rgb
    except (OSError, OfhkitError):
        return None


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURES)


def _real(member: str) -> bool:
    """Not one of the shadow files that macOS puts into zips."""
    return not (member.startswith("__MACOSX") or PurePosixPath(member).name.startswith("._"))
