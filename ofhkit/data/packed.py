"""A prepared data set as one folder: uint8 faces in one memory-mapped file, an index beside it.

``faces.npy`` (N, 3, 128, 128) uint8 RGB; ``parsing.npy`` (N, 128, 128) uint8, where labels are known; ``index.npz``
with ``names``, ``split`` (0 train, 1 val, 2 test), ``points5`` and ``landmarks`` in crop pixels; ``pack.json``, written
last: a folder without it is not a pack.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError

import numpy as np
import torch

from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.registry import DATASETS

__all__ = ["UNREADABLE", "read_npz", "reason"]

_INFO = {"name": str, "template": list, "data_hash": str, "landmark_source": str, "num_faces": int, "image_size": int}
FORMAT, VERSION = "ofhkit-pack", 1
SPLITS = ("train", "val", "test")
_BYTES = 8192  # of the index for a face, at the most
INDEX_KEYS = ("names", "split", "points5", "landmarks")


def is_pack(root: str | Path) -> bool:
    """Whether ``root`` holds a finished pack."""
    return (Path(root) / "pack.json").is_file()


def read_pack_info(root: str | Path) -> dict:
    """Return the contents of a pack's ``pack.json``.

    Raises:
        OfhkitError: no finished pack there, or one of another format or version.
    """
    path = Path(root) / "pack.json"
    try:
        info = json.loads(path.read_text())
    except FileNotFoundError:
        raise OfhkitError(
            f"{root} is no prepared pack (no pack.json); make one: ofhkit prepare --root DIR --out {root}"
        ) from None
    except (ValueError, RecursionError):
        raise OfhkitError(f"{path} is not valid JSON; prepare the pack again") from None
    if not isinstance(info, dict) or info.get("format") != FORMAT or info.get("version") != VERSION:
        raise OfhkitError(f"{path} does not describe an {FORMAT} of version {VERSION}; prepare the pack again")
    for key, kind in _INFO.items():
        if not isinstance(info.get(key), kind):
            raise OfhkitError(f"{path} does not say {key}, or not as {kind.__name__}; prepare the pack again")
    return info


def hash_parts(faces: Path, index: dict[str, np.ndarray], parsing: Path) -> str:
    """SHA-256 over the bytes of ``faces.npy``, the index arrays and, where it exists, ``parsing.npy``."""
    digest = hashlib.sha256()
    _hash_file(digest, faces)
    for key in INDEX_KEYS:
        digest.update("\n".join(index[key]).encode() if key == "names" else np.ascontiguousarray(index[key]).tobytes())
    if parsing.exists():
        _hash_file(digest, parsing)
    return digest.hexdigest()


def _hash_file(digest: hashlib._Hash, path: Path) -> None:
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)


@DATASETS.register_module()
class PackedFaces(torch.utils.data.Dataset):
    """Faces of one split of a pack.

    A batch is read by :meth:`__getitems__` in one gather from the memory map and comes stacked; a loader that uses it
    needs no collation.

    Args:
        root: folder of the pack.
        split: ``'train'``, ``'val'`` or ``'test'``.
        limit: only the first so many faces of the split.

    Attributes:
        metainfo: ``name``, ``template`` (5 x 2), ``data_hash``, ``landmark_source`` of the pack.

    Shape:
        item: ``hr`` (3, 128, 128) uint8, ``index`` int (row in the pack), ``landmarks`` (68, 2) float32 crop pixels
        and, where the pack has them, ``parsing`` (128, 128) uint8; batches have N in front.

    Raises:
        OfhkitError: no pack there, files that do not belong together, unknown or empty split, ``limit`` below 1.
    """

    def __init__(self, root: str | Path, split: str = "train", limit: int | None = None):
        self.root = Path(os.path.expanduser(root))
        self.info = read_pack_info(self.root)
        if split not in SPLITS:
            raise OfhkitError(f"unknown split {split!r}; {did_you_mean(split, SPLITS)}")
        if limit is not None and limit < 1:
            raise OfhkitError(f"limit must be 1 or more, got {limit}")
        try:
            most = _BYTES * (self.info["num_faces"] + 1)
            self.names, of_split, self.points5, self.landmarks = read_npz(self.root / "index.npz", INDEX_KEYS, most)
            rows = np.flatnonzero(of_split == SPLITS.index(split))
            count = self.info["num_faces"]
            shapes = [array.shape for array in (self.names, of_split, self.points5, self.landmarks)]
            if shapes != [(count,), (count,), (count, 5, 2), (count, 68, 2)]:
                raise ValueError(f"its arrays have the shapes {shapes}, pack.json says {count} faces")
        except ValueError as error:
            raise OfhkitError(f"{self.root / 'index.npz'} cannot be read ({error}); prepare the pack again") from None
        if not len(rows):
            raise OfhkitError(f"the pack {self.root} has no {split} faces; prepare it with another --split")
        self.rows = rows[:limit]
        self.split = split
        self.metainfo = {k: self.info[k] for k in ("name", "template", "data_hash", "landmark_source")}
        self._maps: tuple[np.ndarray, np.ndarray | None] | None = None
        self._open()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> dict:
        faces, parsing = self._open()
        row = int(self.rows[i])
        item = {
            "hr": torch.from_numpy(faces[row].copy()),
            "index": row,
            "landmarks": torch.from_numpy(self.landmarks[row].copy()),
        }
        if parsing is not None:
            item["parsing"] = torch.from_numpy(parsing[row].copy())
        return item

    def __getitems__(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        """Return a ready batch: ``hr``, ``index``, ``landmarks`` (and ``parsing``) stacked in the order asked for."""
        faces, parsing = self._open()
        rows = self.rows[np.asarray(indices)]
        batch = {
            "hr": torch.from_numpy(faces[rows]),
            "index": torch.from_numpy(rows),
            "landmarks": torch.from_numpy(self.landmarks[rows]),
        }
        if parsing is not None:
            batch["parsing"] = torch.from_numpy(parsing[rows])
        return batch

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_maps": None}  # a memory map would be pickled with its contents

    def _open(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Map the files once per process."""
        if self._maps is None:
            labels = self.root / "parsing.npy"
            self._maps = (self._map("faces.npy", 3), self._map("parsing.npy") if labels.exists() else None)
        return self._maps

    def _map(self, file: str, *channels: int) -> np.ndarray:
        size = self.info["image_size"]
        shape = (self.info["num_faces"], *channels, size, size)
        try:
            array = np.load(self.root / file, mmap_mode="r")
        except UNREADABLE as error:
            raise OfhkitError(f"{self.root / file} cannot be read ({reason(error)}); prepare the pack again") from None
        if array.shape != shape or array.dtype != np.uint8:
            raise OfhkitError(
                f"{self.root / file} is {array.dtype} {array.shape}, pack.json says uint8 {shape}; prepare it again"
            )
        return array.view(np.ndarray)


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
