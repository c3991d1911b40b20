"""A folder of photographs as a data set: faces are found, aligned and packed once, and split by file."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path

import numpy as np

from ofhkit.data.celeba.prepare import landmark_reader
from ofhkit.data.pack_writer import PackWriter
from ofhkit.data.packed import PackedFaces, is_pack
from ofhkit.errors import OfhkitError
from ofhkit.functional.alignment import DEFAULT_TEMPLATE, warp
from ofhkit.functional.face_labels import five_points
from ofhkit.registry import DATASETS
from ofhkit.restoration.faces import FaceFinder
from ofhkit.restoration.pictures import PICTURES, read_pictures
from ofhkit.runtime.files import cache_dir, file_lock
from ofhkit.runtime.progress import Progress

__all__ = ["PhotoFolder"]

SHARE = 10  # one file in ten is for validation, one for testing
LARGEST = 2.0  # a face that would have to be enlarged more than this teaches nothing


@DATASETS.register_module()
class PhotoFolder(PackedFaces):
    """The faces of a folder of photographs, subfolders included; all faces of a file are of one split.

    At the first use they are found, aligned to 128x128 and packed into the user's cache (``$OFHKIT_CACHE``); a folder
    whose files changed is packed anew. Files without a usable face are listed in the pack's ``refused.txt``.

    Args:
        root: the folder.
        split: ``'train'``, ``'val'`` or ``'test'``.
        limit: only the first so many faces of the split.

    Raises:
        OfhkitError: no such folder, or fewer than three files in it with a face.
    """

    def __init__(self, root: str | Path, split: str = "train", limit: int | None = None):
        folder = Path(root).expanduser()
        if not folder.is_dir():
            raise OfhkitError(f"{folder} is not a folder; name one with photographs")
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES and p.is_file())
        seen = "\n".join(f"{p} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in files)
        pack = cache_dir() / f"photographs-{hashlib.sha256(os.fsencode(seen)).hexdigest()[:16]}"
        pack.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(f"{pack}.lock"):
            if not is_pack(pack):
                _pack(folder, files, pack)
        super().__init__(pack, split, limit)


def _pack(folder: Path, files: list[Path], pack: Path) -> None:
    finder, locate = FaceFinder(), landmark_reader(np.array(DEFAULT_TEMPLATE))
    found: dict[str, list[np.ndarray]] = {}
    refused, bar = [], Progress(len(files), "photographs")
    for path in files:
        name = str(path.relative_to(folder))
        try:
            faces = _faces(finder, path)
        except OfhkitError as error:
            faces, reason = [], str(error)
        else:
            reason = "no face of at least 64 pixels"
        found |= {name: faces} if faces else {}
        refused += [] if faces else [(name, reason)]
        bar.update(1)
    if len(found) < 3:
        raise OfhkitError(f"{folder}: {len(found)} of {len(files)} pictures show a face; three are the least to split")
    if refused:
        warnings.warn(f"{folder}: {len(refused)} pictures left out, the first {': '.join(refused[0])}", stacklevel=4)
    order = sorted(found, key=lambda name: hashlib.sha256(os.fsencode(name)).digest())
    part = max(len(order) // SHARE, 1)
    split_of = {name: 2 if i < part else 1 if i < 2 * part else 0 for i, name in enumerate(order)}
    names = [name for name, faces in found.items() for _ in faces]
    crops = np.stack([face for faces in found.values() for face in faces])
    landmarks = np.concatenate([locate(crops[i : i + 64]) for i in range(0, len(crops), 64)])
    writer = PackWriter(
        pack, name=folder.resolve().name, template=DEFAULT_TEMPLATE, landmark_source="FaceAPI68 on the crops",
        settings={"files": len(files), "found": len(found)},
    )  # fmt: skip
    points = np.stack([five_points(one) for one in landmarks])
    writer.append(names, crops, points, landmarks, [split_of[name] for name in names], refused=refused)
    writer.finish()


def _faces(finder: FaceFinder, path: Path) -> list[np.ndarray]:
    """Aligned faces (3, 128, 128) uint8 of a file's first picture."""
    reading = read_pictures(path)
    rgb = next(reading).rgb
    reading.close()
    _, matrices = finder.find(rgb, np.zeros(rgb.shape[:2], bool))
    kept = [m for m in matrices if np.sqrt(abs(np.linalg.det(m[:, :2]))) <= LARGEST]
    return [warp(rgb, matrix).transpose(2, 0, 1) for matrix in kept]
