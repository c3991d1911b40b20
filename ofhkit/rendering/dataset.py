"""Rendered faces as a data set: nothing to fetch, exact labels, the same faces from the same seed."""

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch

from ofhkit.data.pack_writer import PackWriter
from ofhkit.data.packed import SPLITS, PackedFaces, is_pack
from ofhkit.data.pool import parallel
from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.functional.alignment import DEFAULT_TEMPLATE
from ofhkit.functional.face_labels import five_points
from ofhkit.registry import DATASETS
from ofhkit.rendering.render import render_face
from ofhkit.runtime.files import asset, cache_dir, check_disk_space, file_lock
from ofhkit.runtime.progress import Progress

CHUNK = 32  # faces

Faces = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Stacked faces (n, 3, 128, 128) uint8, landmarks (n, 68, 2) float32, parsing (n, 128, 128) uint8."""


def render_many(seed: int, split: str, indices: range) -> Faces:
    """Render faces one after the other in this process."""
    rendered = [render_face(seed, split, i) for i in indices]
    return tuple(np.stack([face[k] for face in rendered]) for k in range(3))


def render_chunks(
    seed: int, split: str, start: int, stop: int, num_workers: int, chunk: int = CHUNK
) -> Iterator[Faces]:
    """Yield the faces ``start`` to ``stop - 1`` in chunks, in order, rendered by ``num_workers`` processes.

    With fewer than two workers, or one chunk, this process renders itself.

    Raises:
        OfhkitError: a worker was killed.
    """
    chunks = [range(a, min(a + chunk, stop)) for a in range(start, stop, chunk)]
    workers = min(num_workers, len(chunks))
    if workers > 1:
        render_face(seed, split, start)  # makes the tables, once for all forked processes
    return parallel(partial(render_many, seed, split), chunks, workers if workers > 1 else 0, fork=True)


_BYTES_PER_FACE = 4 * 128 * 128 + 1024


@DATASETS.register_module()
class SyntheticFaces(torch.utils.data.Dataset):
    """Faces rendered from a 3-D head, with 68 landmarks and parsing labels.

    Face ``i`` is a function of (``seed``, ``split``, ``i``): it depends neither on ``num_faces`` nor on the number of
    processes, and no two splits share a scene.

    Args:
        num_faces: how many, or how many of each split, e.g. ``dict(train=2000, val=100, test=200)``.
        seed: 0 .. 2**32 - 1.
        split: ``'train'``, ``'val'`` or ``'test'``.
        cache: render all faces at the first use into a pack in the user's cache folder (``$OFHKIT_CACHE``) and map it
            from then on; else every access renders.
        limit: only the first so many.
        num_workers: processes that fill the cache; default: one a core.

    Attributes:
        metainfo: ``name``, ``template`` (5 x 2), ``data_hash``, ``landmark_source``.

    Shape:
        item: ``hr`` (3, 128, 128) uint8 RGB, ``landmarks`` (68, 2) float32 pixels, ``parsing`` (128, 128) uint8 (values
        of ``ofhkit.functional.face_labels.PARSING_LABELS``), ``index`` int; batches have N in front.

    Raises:
        OfhkitError: unknown split, ``num_faces`` or ``limit`` below 1, seed out of range, a full disk.
    """

    def __init__(
        self,
        num_faces: int | dict[str, int],
        seed: int = 0,
        split: str = "train",
        cache: bool = True,
        limit: int | None = None,
        num_workers: int | None = None,
    ):
        if split not in SPLITS:
            raise OfhkitError(f"unknown split {split!r}; {did_you_mean(split, SPLITS)}")
        if isinstance(num_faces, Mapping):
            if split not in num_faces:
                raise OfhkitError(f"num_faces says nothing of the split {split!r}; it has {sorted(num_faces)}")
            num_faces = num_faces[split]
        for name, value in (("num_faces", num_faces), ("limit", limit)):
            if value is not None and value < 1:
                raise OfhkitError(f"{name} must be 1 or more, got {value}")
        if not 0 <= seed < 2**32:
            raise OfhkitError(f"seed must lie in 0..{2**32 - 1}, got {seed}")
        self.num_faces, self.seed, self.split = num_faces if limit is None else min(limit, num_faces), seed, split
        self.metainfo = {
            "name": "synthetic",
            "template": np.asarray(DEFAULT_TEMPLATE).tolist(),
            "data_hash": _digest(f"{renderer_hash()} {seed} {split} {self.num_faces}".encode()),
            "landmark_source": "projected vertices of the rendered head",
        }
        self.pack = None
        if cache:
            root = fill_cache(seed, split, self.num_faces, num_workers)
            self.pack = PackedFaces(root, split, limit=self.num_faces)

    def __len__(self) -> int:
        return self.num_faces

    def __getitem__(self, i: int) -> dict:
        i = range(self.num_faces)[i]
        if self.pack is not None:
            return self.pack[i]
        image, landmarks, parsing = map(torch.from_numpy, render_face(self.seed, self.split, i))
        return {"hr": image, "index": i, "landmarks": landmarks, "parsing": parsing}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, torch.Tensor]:
        """Return a ready batch, stacked in the order asked for."""
        if self.pack is not None:
            return self.pack.__getitems__(indices)
        return torch.utils.data.default_collate([self[i] for i in indices])


def fill_cache(seed: int, split: str, num_faces: int, num_workers: int | None = None) -> Path:
    """Return the folder of a pack with at least ``num_faces`` faces, rendering it where there is none.

    A second process that asks for the same waits for the first; a killed one is continued by the next.
    """
    folder = cache_dir()
    prefix = f"synthetic-{renderer_hash()[:12]}-seed{seed}-{split}"
    root = folder / f"{prefix}-{num_faces}"
    if found := _large_enough(folder, prefix, num_faces):
        return found
    check_disk_space(folder, num_faces * _BYTES_PER_FACE, f"a cache of {num_faces} rendered faces")
    with file_lock(folder / f"{root.name}.lock", waiting=lambda: _say(f"another process renders {root}; waiting")):
        if not is_pack(root):
            _render_pack(root, seed, split, num_faces, num_workers or available_cores())
    return root


def _render_pack(root: Path, seed: int, split: str, num_faces: int, num_workers: int) -> None:
    writer = PackWriter(
        root,
        name="synthetic",
        template=DEFAULT_TEMPLATE,
        landmark_source="projected vertices of the rendered head",
        settings={"renderer": renderer_hash(), "seed": seed, "split": split, "num_faces": num_faces},
        parsing=True,
    )
    _say(f"rendering {num_faces:,} {split} faces (seed {seed}) into {root}, once")
    progress = Progress(num_faces, "faces", done=writer.consumed)
    try:
        for faces, landmarks, parsing in render_chunks(seed, split, writer.consumed, num_faces, num_workers):
            names = [f"{split}-{seed}-{writer.consumed + i:06d}" for i in range(len(faces))]
            labels = [SPLITS.index(split)] * len(faces)
            writer.append(names, faces, five_points(landmarks), landmarks, labels, parsing=parsing)
            progress.update(len(faces))
        writer.finish()
    finally:
        progress.close()
        writer.close()


def _large_enough(folder: Path, prefix: str, num_faces: int) -> Path | None:
    """The smallest finished pack of this kind with enough faces."""
    sizes = {}
    for path in folder.glob(f"{prefix}-*/pack.json"):
        sizes[json.loads(path.read_text())["num_faces"]] = path.parent
    return min(((n, p) for n, p in sizes.items() if n >= num_faces), default=(0, None))[1]


@lru_cache(maxsize=1)
def renderer_hash() -> str:
    """SHA-256 over the renderer's source and its head model: another renderer makes other faces."""
    files = [*sorted(Path(__file__).parent.glob("*.py")), asset("facemodel_cc0.npz")]
    return _digest(b"".join(path.read_bytes() for path in files))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def available_cores() -> int:
    """Number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
