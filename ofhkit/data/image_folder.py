"""A folder of faces that are aligned already, read as they are: for pictures that come without lists."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path

import cv2
import numpy as np
import torch

from ofhkit.data.celeba.prepare import landmark_reader
from ofhkit.data.pictures import FolderImages, decode
from ofhkit.errors import OfhkitError
from ofhkit.functional.alignment import DEFAULT_TEMPLATE
from ofhkit.functional.task import HR_SIZE
from ofhkit.registry import DATASETS


@DATASETS.register_module()
class ImageFolder(torch.utils.data.Dataset):
    """The pictures of one folder, sorted by name, as 128x128 faces.

    Square pictures only, for others would have to be cropped or squeezed. Larger ones are reduced by area averaging,
    smaller ones enlarged bicubically. All are decoded at the start and kept, so that a run does not end at a broken
    one in its middle; those are left out, with a warning, and listed in ``refused``.

    Args:
        root: the folder.
        limit: only the first so many readable pictures.
        landmarks: find 68 points with the pretrained network, which expects the default template; without, the items
            have none.

    Attributes:
        names: of the pictures.
        refused: (name, reason) of those left out.
        metainfo: ``name``, ``template``, ``data_hash``, ``landmark_source``.

    Shape:
        item: ``hr`` (3, 128, 128) uint8, ``index`` int and, if asked for, ``landmarks`` (68, 2) float32 pixels

    Raises:
        OfhkitError: no such folder, or no readable square picture in it.
    """

    def __init__(self, root: str | Path, limit: int | None = None, landmarks: bool = False):
        self.root = Path(os.path.expanduser(root))
        if not self.root.is_dir():
            raise OfhkitError(f"{self.root} is not a folder; name one with aligned square pictures")
        if limit is not None and limit < 1:
            raise OfhkitError(f"limit must be 1 or more, got {limit}")
        images = FolderImages(self.root)
        self.names: list[str] = []
        self.refused: list[tuple[str, str]] = []
        faces = []
        for name in images.names():
            image = decode(images, name)
            if image is None:
                self.refused.append((name, "unreadable picture"))
            elif image.shape[0] != image.shape[1]:
                self.refused.append((name, f"not square but {image.shape[1]}x{image.shape[0]}"))
            else:
                self.names.append(name)
                faces.append(resize_face(image).transpose(2, 0, 1))
            if len(faces) == limit:
                break
        if not faces:
            raise OfhkitError(f"{self.root} holds no readable square picture ({len(self.refused)} refused)")
        self.faces = np.stack(faces)
        if self.refused:
            name, reason = self.refused[0]
            warnings.warn(
                f"{self.root}: {len(self.refused)} pictures left out, the first {name} ({reason})", stacklevel=2
            )
        self.landmarks = None
        if landmarks:
            locate = landmark_reader(np.array(DEFAULT_TEMPLATE))
            self.landmarks = np.concatenate([locate(self.faces[i : i + 64]) for i in range(0, len(faces), 64)])
        self.metainfo = {
            "name": self.root.resolve().name,
            "template": [list(point) for point in DEFAULT_TEMPLATE],
            "data_hash": hashlib.sha256(self.faces.tobytes()).hexdigest(),
            "landmark_source": "none" if self.landmarks is None else "FaceAPI68 on the crops",
        }

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> dict:
        item = {"hr": torch.from_numpy(self.faces[i].copy()), "index": i}
        if self.landmarks is not None:
            item["landmarks"] = torch.from_numpy(self.landmarks[i].copy())
        return item


def resize_face(image: np.ndarray, size: int = HR_SIZE) -> np.ndarray:
    """Bring a square picture to ``size`` without aliasing.

    Shape:
        (S, S, 3) uint8 -> (size, size, 3) uint8

    >>> resize_face(np.zeros((300, 300, 3), np.uint8)).shape
    (128, 128, 3)
    """
    if image.shape[0] == size:
        return image
    filter_ = cv2.INTER_AREA if image.shape[0] > size else cv2.INTER_CUBIC
    return cv2.resize(image, (size, size), interpolation=filter_)
