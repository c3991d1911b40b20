"""Writing a pack piece by piece, so that a killed job goes on where it stopped and ends with the same bytes."""

import io
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ofhkit.data.packed import FORMAT, SPLITS, VERSION, hash_parts, is_pack
from ofhkit.errors import OfhkitError
from ofhkit.functional.task import HR_SIZE
from ofhkit.runtime.files import atomic_write

POINTS = 5 + 68


class PackWriter:
    """Appends faces to ``*.part`` files and journals every append; :meth:`finish` turns them into a pack.

    A writer opened on unfinished work with the same arguments continues it: ``consumed`` says how many candidates need
    not be given again. With other arguments it starts anew. One process at a time: hold a lock.

    Args:
        root: folder of the pack.
        name: of the data set.
        template: the five points the crops are aligned to.
        landmark_source: where the 68 points come from.
        settings: what was asked for; goes to ``pack.json`` and decides whether unfinished work may be continued.
        parsing: whether label maps come along.
        image_size: side of the faces.

    Attributes:
        consumed: candidates dealt with, accepted or refused.
        num_faces: faces accepted.
        refused: (name, reason) of the others.

    Raises:
        OfhkitError: ``root`` holds a finished pack.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        name: str,
        template: Sequence[Sequence[float]],
        landmark_source: str,
        settings: dict,
        parsing: bool = False,
        image_size: int = HR_SIZE,
    ):
        self.root = Path(root)
        if is_pack(self.root):
            raise OfhkitError(f"{self.root} holds a finished pack; delete it or choose another folder")
        self.root.mkdir(parents=True, exist_ok=True)
        self.header = {
            "format": FORMAT,
            "version": VERSION,
            "name": name,
            "template": np.asarray(template, float).tolist(),
            "image_size": image_size,
            "landmark_source": landmark_source,
            "settings": settings,
        }
        self.shapes = {"faces": (3, image_size, image_size)}
        if parsing:
            self.shapes["parsing"] = (image_size, image_size)
        self.consumed = self.num_faces = 0
        self.names: list[str] = []
        self.split: list[int] = []
        self.refused: list[tuple[str, str]] = []
        self._files: dict[str, BinaryIO] = {}
        self._continue() if self._can_continue() else self._start()

    def append(
        self,
        names: Sequence[str],
        faces: np.ndarray,
        points5: np.ndarray,
        landmarks: np.ndarray,
        split: Sequence[int],
        *,
        parsing: np.ndarray | None = None,
        refused: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Add accepted faces and the refused candidates among them; on disk when it returns.

        Shape:
            faces (n, 3, S, S) uint8, points5 (n, 5, 2), landmarks (n, 68, 2) crop pixels, split (n,) 0..2,
            parsing (n, S, S) uint8; n may be 0.
        """
        points = (
            np.concatenate([points5, landmarks], 1).astype("<f4") if len(names) else np.empty((0, POINTS, 2), "<f4")
        )
        arrays = {"faces": faces, "parsing": parsing} if "parsing" in self.shapes else {"faces": faces}
        for key, array in arrays.items():
            array = np.ascontiguousarray(array, np.uint8)
            if array.shape != (len(names), *self.shapes[key]):
                raise ValueError(f"{key}: expected {(len(names), *self.shapes[key])}, got {array.shape}")
            self._files[key].write(array.data if array.size else b"")
        if points.shape != (len(names), POINTS, 2) or len(split) != len(names):
            raise ValueError(f"points or split do not belong to {len(names)} names")
        self._files["points"].write(points.tobytes())
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        self._note({"names": list(names), "split": [int(s) for s in split], "refused": [list(r) for r in refused]})

    def finish(self, split: Sequence[int] | None = None) -> dict:
        """Complete the pack and return the contents of ``pack.json``.

        Args:
            split: of all faces, where it could not be known before; else what was given to :meth:`append`.
        """
        split = np.asarray(self.split if split is None else split, np.uint8)
        if split.shape != (self.num_faces,):
            raise ValueError(f"expected a split of {self.num_faces} faces, got {split.shape}")
        for key, shape in self.shapes.items():
            file = self._files[key]
            file.seek(0)
            file.write(npy_header((self.num_faces, *shape)))
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
            file.close()
        points = np.fromfile(self._part("points"), "<f4").reshape(self.num_faces, POINTS, 2)
        index = {"names": np.array(self.names), "split": split, "points5": points[:, :5], "landmarks": points[:, 5:]}
        info = {
            **{k: self.header[k] for k in ("format", "version", "name")},
            "num_faces": self.num_faces,
            "splits": {s: int((split == i).sum()) for i, s in enumerate(SPLITS)},
            **{k: self.header[k] for k in ("template", "image_size")},
            "data_hash": hash_parts(self._part("faces"), index, self._part("parsing")),
            **{k: self.header[k] for k in ("landmark_source", "settings")},
            "refused": dict(sorted(Counter(reason for _, reason in self.refused).items())),
        }
        atomic_write(self.root / "index.npz", lambda file: np.savez(file, **index))
        for key in self.shapes:
            os.replace(self._part(key), self.root / f"{key}.npy")
        atomic_write(self.root / "refused.txt", "".join(f"{name}\t{reason}\n" for name, reason in self.refused))
        atomic_write(self.root / "pack.json", json.dumps(info, indent=1) + "\n")
        self._part("points").unlink()
        self._part("journal").unlink()
        return info

    def close(self) -> None:
        """Close the files; what was appended stays for the next writer."""
        for file in self._files.values():
            file.close()

    def _part(self, key: str) -> Path:
        return self.root / f"{key}.part"

    def _can_continue(self) -> bool:
        """Whether there is unfinished work of exactly this kind; a rename cut short is undone first."""
        for key in self.shapes:
            if not self._part(key).exists() and (self.root / f"{key}.npy").exists():
                os.replace(self.root / f"{key}.npy", self._part(key))
        if not all(self._part(key).exists() for key in (*self.shapes, "points", "journal")):
            return False
        lines = self._part("journal").read_bytes().split(b"\n")
        return lines[0] == json.dumps(self.header).encode()

    def _start(self) -> None:
        for old in self.root.glob("*.part"):
            old.unlink()
        for key, shape in self.shapes.items():
            self._open(key, "w+b")
            self._files[key].write(npy_header((0, *shape)))
        self._open("points", "w+b")
        atomic_write(self._part("journal"), json.dumps(self.header) + "\n")

    def _continue(self) -> None:
        """Read the journal up to its last whole line and cut the other files to what it vouches for."""
        whole = self._part("journal").read_bytes().rpartition(b"\n")[0].split(b"\n")
        for line in whole[1:]:
            self._count(json.loads(line))
        atomic_write(self._part("journal"), b"\n".join(whole) + b"\n")
        sizes = {k: len(npy_header((0, *s))) + self.num_faces * int(np.prod(s)) for k, s in self.shapes.items()}
        for key, size in {**sizes, "points": self.num_faces * POINTS * 8}.items():
            self._open(key, "r+b")
            self._files[key].truncate(size)
            self._files[key].seek(0, os.SEEK_END)

    def _open(self, key: str, mode: str) -> None:
        self._files[key] = open(self._part(key), mode)  # noqa: SIM115 (closed by close or finish)

    def _note(self, entry: dict) -> None:
        with open(self._part("journal"), "ab") as journal:
            journal.write(json.dumps(entry).encode() + b"\n")
            journal.flush()
            os.fsync(journal.fileno())
        self._count(entry)

    def _count(self, entry: dict) -> None:
        self.names += entry["names"]
        self.split += entry["split"]
        self.refused += [(name, reason) for name, reason in entry["refused"]]
        self.num_faces = len(self.names)
        self.consumed = self.num_faces + len(self.refused)


def npy_header(shape: tuple[int, ...]) -> bytes:
    """Header of a uint8 ``.npy`` file; equally long for any number of faces, so that it can be rewritten in place.

    >>> len(npy_header((0, 3, 128, 128))) == len(npy_header((202599, 3, 128, 128)))
    True
    """
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return buffer.getvalue()
