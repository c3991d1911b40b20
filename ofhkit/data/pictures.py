"""Pictures of a folder or of a zip, read by name and decoded whole or not at all."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from ofhkit.errors import OfhkitError

PICTURES = (".jpg", ".jpeg", ".png")


class FolderImages:
    """Pictures of one folder, by name."""

    def __init__(self, folder: Path):
        self.path = folder

    def names(self) -> list[str]:
        """Names of all pictures, sorted."""
        with os.scandir(self.path) as entries:
            return sorted(e.name for e in entries if _is_picture(e.name))

    def read(self, name: str) -> bytes:
        """Contents of one picture; ``OSError`` where it cannot be read."""
        return (self.path / name).read_bytes()


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

    def read(self, name: str) -> bytes:
        """Contents of one picture; ``OSError`` where it cannot be read (its checksum is verified)."""
        try:
            return self.archive().read(self.members[name])
        except (zipfile.BadZipFile, zipfile.zlib.error) as error:
            raise OSError(str(error)) from None

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_zip": None}

    def archive(self) -> zipfile.ZipFile:
        """The zip, opened by this process."""
        if self._zip is None or self._zip[0] != os.getpid():
            self._zip = (os.getpid(), zipfile.ZipFile(self.path))
        return self._zip[1]


def decode(images: FolderImages | ZipImages, name: str) -> np.ndarray | None:
    """A picture as (H, W, 3) uint8 RGB, or None where it cannot be read whole.

    Pillow decodes, because it refuses a JPEG that ends early; OpenCV fills the rest with grey and only warns.
    """
    try:
        with Image.open(io.BytesIO(images.read(name))) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURES)


def _real(member: str) -> bool:
    """Not one of the shadow files that macOS puts into zips."""
    return not (member.startswith("__MACOSX") or PurePosixPath(member).name.startswith("._"))
