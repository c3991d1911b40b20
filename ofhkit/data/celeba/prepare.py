"""CelebA, prepared: aligned 128x128 crops in a pack, from the files as they are downloaded.

Reference: Z. Liu, P. Luo, X. Wang, X. Tang, "Deep learning face attributes in the wild", ICCV 2015 (the data set);
OFHNet, section 4.1 (28,000 faces for training and 2,000 for testing, aligned by five points, 128x128).
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ofhkit.data.celeba.crops import NO_LANDMARKS, Chunk, crop
from ofhkit.data.celeba.files import WHAT_GOES_WHERE, CelebA, choose, find_celeba, fingerprint, load_template
from ofhkit.data.pack_writer import PackWriter
from ofhkit.data.packed import SPLITS, is_pack, read_pack_info
from ofhkit.data.pool import parallel
from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.functional.face_labels import five_points
from ofhkit.functional.task import HR_SIZE
from ofhkit.registry import PRIORS
from ofhkit.runtime.distributed import on_main
from ofhkit.runtime.files import cache_dir, check_disk_space, file_lock, is_writable
from ofhkit.runtime.progress import Progress

log = logging.getLogger("ofhkit")
PAPER_TRAIN, PAPER_TEST = 28_000, 2_000
CHUNK = 128
MAX_WORKERS = 8
NOT_LISTED, DISAGREE = "not in the partition list", "68 and 5 points disagree"
MAX_DISAGREEMENT = 0.12
"""Of 68 from 5 points, in eye distances. Measured with FaceAPI68 on 3,000 real faces with good points: median 0.034,
99.9 % below 0.081, largest 0.090; with points a fifth of the eye distance off, 95 % lie above 0.190."""


def prepare(
    root: str | Path,
    out: str | Path,
    *,
    split: str = "official",
    limit: int | None = None,
    template: str | Path | None = None,
    name: str | None = None,
    workers: int | None = None,
    seed: int = 0,
    max_outside: float = 0.25,
) -> Path:
    """Turn a CelebA folder into a pack; go on where an earlier call was stopped; do nothing if the pack is there.

    Args:
        root: folder with the pictures and lists, see :func:`~ofhkit.data.celeba.files.find_celeba`.
        out: folder of the pack.
        split: ``'official'`` (CelebA's partition list) or ``'paper'`` (seeded random 28,000 for training and 2,000 for
            testing, or the same proportion of fewer).
        limit: look at so many faces only, spread over the splits in proportion.
        template: JSON file with the five points or the name of a shipped one; default: the package's own.
        name: of the data set; default: the name of ``root``.
        workers: processes; default: one a core, 8 at the most; 0: none.
        seed: of the paper's split.
        max_outside: share of a crop that may lie outside its picture.

    Raises:
        OfhkitError: files are absent or wrong, the disk is too small, a split would be empty, or ``out`` holds another
            pack.
    """
    root, out = Path(os.path.expanduser(root)), Path(os.path.expanduser(out))
    if split not in ("official", "paper"):
        raise OfhkitError(f"unknown split {split!r}; {did_you_mean(split, ('official', 'paper'))}")
    if limit is not None and limit < 1:
        raise OfhkitError(f"limit must be 1 or more, got {limit}")
    points = load_template(template)
    celeba = find_celeba(root)
    order = choose(celeba, split, limit, seed)
    most = len(order) if split == "official" else min(len(order), PAPER_TRAIN + PAPER_TEST)
    settings = {
        "split": split,
        "limit": limit,
        "seed": seed if split == "paper" else None,
        "max_outside": max_outside,
        "source": fingerprint(celeba, order),
    }
    header = {"name": name or root.resolve().name, "template": points.tolist(), "settings": settings}
    with file_lock(out / ".lock", waiting=lambda: log.info(f"another process prepares {out}; waiting for it")):
        if is_pack(out):
            info = read_pack_info(out)
            if differing := [key for key in header if info[key] != header[key]]:
                raise OfhkitError(
                    f"{out} holds a pack of other {' and '.join(differing)}; delete it or choose another folder"
                )
            log.info(f"{out} is prepared already: {info['num_faces']:,} faces")
            return out
        source = "FaceAPI68 on the crops" if celeba.points68 is None else "landmarks_68.npz"
        writer = PackWriter(out, landmark_source=source, **header)
        size = most * (3 * HR_SIZE**2 + 700)
        free = check_disk_space(out, size - writer.num_faces * 3 * HR_SIZE**2, f"the pack of {most:,} faces")
        log.info(f"{most:,} faces from {celeba.images.path}: a pack of {size / 1e9:.2f} GB ({free / 1e9:.0f} GB free)")
        if celeba.missing:
            log.info(f"{len(celeba.missing):,} listed pictures are not there, the first {celeba.missing[0]}: left out")
        if writer.consumed:
            log.info(f"going on after {writer.consumed:,} faces")
        cropper = partial(crop, images=celeba.images, template=points, max_outside=max_outside)
        workers = min(os.cpu_count() or 1, MAX_WORKERS) if workers is None else workers
        try:
            _fill(writer, celeba, order, most, cropper, workers)
            info = _finish(writer, split)
        finally:
            writer.close()
    log.info(summary(info, out))
    return out


def find_or_prepare(data_root: str | Path) -> Path:
    """Return the pack behind a data root: the root itself, or a raw CelebA folder's, which is prepared once.

    The pack is made beside the raw folder as ``<folder>_pack``, or in the user's cache where that is read-only.

    Raises:
        OfhkitError: neither is there; says which files go where.
    """
    root = Path(os.path.expanduser(data_root))
    real = Path(os.path.realpath(root))
    beside = root.absolute().parent / f"{real.stem}_pack"
    if is_pack(root):
        return root
    if not root.exists():
        if is_pack(beside):
            return beside
        raise OfhkitError(f"no data in {root}: make that folder and {WHAT_GOES_WHERE}, or name a prepared pack")
    if is_pack(beside) or is_writable(beside.parent):
        return prepare(root, beside)
    key = hashlib.sha256(str(real).encode()).hexdigest()[:12]
    return prepare(root, cache_dir() / "packs" / f"{real.stem}-{key}")


def resolve_data(config: Any, data_root: str | Path | None) -> None:
    """Point the data set at a pack, preparing one where the root is a raw CelebA folder."""
    dataset = point_data(config, data_root)
    if dataset.get("type") == "PackedFaces" and "root" in dataset:  # others read folders of their own
        dataset["root"] = on_main(lambda: str(find_or_prepare(dataset["root"])))


def point_data(config: Any, data_root: str | Path | None) -> Any:
    """Say in a configuration where the faces lie; returns its data set."""
    dataset = config.data.dataset
    if data_root is not None:
        if "root" not in dataset:
            config.data.dataset = dataset = type(dataset)(type="PackedFaces")
        dataset["root"] = str(data_root)
    return dataset


def summary(info: dict, out: Path) -> str:
    """What a finished preparation reports."""
    refused = info["refused"]
    counts = ", ".join(f"{info['splits'][s]:,} {s}" for s in SPLITS)
    lines = [f"{out}: {info['num_faces']:,} faces ({counts}), 68 points from {info['landmark_source']}"]
    if refused:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in refused.items())
        lines.append(f"refused {sum(refused.values()):,}: {reasons}; names in {out / 'refused.txt'}")
    return "\n".join(lines)


def _fill(writer: PackWriter, celeba: CelebA, order: np.ndarray, most: int, cropper: partial, workers: int) -> None:
    """Append everything that is not in the pack yet, chunk by chunk, in order."""
    locate = landmark_reader(cropper.keywords["template"]) if celeba.points68 is None else None
    official = writer.header["settings"]["split"] == "official"
    starts = range(writer.consumed, len(order), CHUNK)

    def jobs() -> Iterator[Chunk]:
        for start in starts:
            rows = order[start : start + CHUNK]
            listed = celeba.split[rows] >= 0 if official else np.ones(len(rows), bool)
            points68 = np.full((len(rows), 68, 2), np.nan) if celeba.points68 is None else celeba.points68[rows]
            refused = {int(i): NOT_LISTED for i in np.flatnonzero(~listed)}
            yield Chunk([celeba.names[i] for i in rows], celeba.points5[rows], points68, refused)

    progress = Progress(len(order), "faces", done=writer.consumed)
    chunks = parallel(cropper, jobs(), workers)
    try:
        for start, chunk in zip(starts, chunks) if writer.num_faces < most else ():
            rows = order[start : start + CHUNK]
            landmarks = chunk.points68 if locate is None else locate(chunk.faces)
            _append(writer, celeba, rows, chunk, landmarks, most)
            progress.update(len(rows))
            if writer.num_faces >= most:
                break
    finally:
        chunks.close()
        progress.close()


def _append(
    writer: PackWriter, celeba: CelebA, rows: np.ndarray, chunk: Chunk, landmarks: np.ndarray, most: int
) -> None:
    """Check the 68 points of a chunk's crops and write what passes."""
    official = writer.header["settings"]["split"] == "official"
    refused = dict(chunk.refused)
    gap = disagreement(chunk.points5, landmarks)
    passed = []
    for k, i in enumerate(chunk.accepted):
        if not np.isfinite(gap[k]):
            refused[i] = NO_LANDMARKS
        elif gap[k] > MAX_DISAGREEMENT:
            refused[i] = DISAGREE
        else:
            passed.append(k)
    passed = passed[: most - writer.num_faces]
    accepted = [rows[chunk.accepted[k]] for k in passed]
    writer.append(
        [celeba.names[i] for i in accepted],
        chunk.faces[passed],
        chunk.points5[passed],
        landmarks[passed],
        [celeba.split[i] if official else 0 for i in accepted],
        refused=[(celeba.names[rows[i]], reason) for i, reason in sorted(refused.items())],
    )


def landmark_reader(template: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The pretrained network as a function from crops (N, 3, 128, 128) uint8 to 68 points (N, 68, 2) float32."""
    network = PRIORS.build({"type": "FaceAPI68", "template": template.tolist()})

    def locate(faces: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(faces).float() / 255).numpy()

    return locate


def disagreement(points5: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Mean distance of five given points from those that 68 points imply, in eye distances.

    Shape:
        points5 (N, 5, 2), landmarks (N, 68, 2) -> (N,)
    """
    eyes = np.linalg.norm(points5[:, 1] - points5[:, 0], axis=-1)
    return np.linalg.norm(five_points(landmarks) - points5, axis=-1).mean(-1) / eyes


def _finish(writer: PackWriter, split: str) -> dict:
    """Settle the split and complete the pack."""
    total = writer.num_faces
    values = np.array(writer.split)
    if split == "paper":
        tests = round(total * PAPER_TEST / (PAPER_TRAIN + PAPER_TEST))
        values = np.where(np.arange(total) < tests, 2, 0)
    for value, label in ((0, "train"), (2, "test")):
        if not (values == value).any():
            reasons = sorted({reason for _, reason in writer.refused})
            raise OfhkitError(
                f"no {label} face is left of {writer.consumed:,} (refused: {', '.join(reasons) or 'none'}); "
                "check the pictures and lists, or raise --limit"
            )
    return writer.finish(values)
