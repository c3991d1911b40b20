"""CelebA as people have it on disk: folder or zip, the official tree or Kaggle's, text or CSV lists.

Nothing here looks into a picture; :func:`find_celeba` says what there is, and every complaint names file and line.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ofhkit.data.packed import read_npz
from ofhkit.data.pictures import FolderImages, ZipImages
from ofhkit.errors import OfhkitError
from ofhkit.functional.alignment import DEFAULT_TEMPLATE
from ofhkit.runtime.files import ASSETS

IMAGES = "img_align_celeba"
_BYTES = 8192  # of landmarks_68.npz for a face, at the most
LANDMARK_LIST, PARTITION_LIST = "list_landmarks_align_celeba", "list_eval_partition"
POINTS_68 = "landmarks_68.npz"
FOLDERS = ("", "Anno", "Eval", "Img")
COLUMNS = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
WHAT_GOES_WHERE = (
    f"put {IMAGES}.zip (or the unpacked folder {IMAGES}/), {LANDMARK_LIST}.txt and {PARTITION_LIST}.txt there "
    "(CelebA's Img/ Anno/ Eval/ folders and Kaggle's .csv lists serve too)"
)


@dataclass
class CelebA:
    """What a CelebA folder holds.

    Attributes:
        images: where pictures are read from.
        names: pictures, in the order of the landmark list, then those the list does not know.
        points5: (N, 5, 2) float32 picture pixels, NaN where the list has none.
        split: (N,) int8: 0 train, 1 val, 2 test, -1 not listed; None without a partition list.
        points68: (N, 68, 2) float32 picture pixels, NaN where unknown; None without ``landmarks_68.npz``.
        missing: names the landmark list has but no picture.
    """

    images: FolderImages | ZipImages
    names: list[str]
    points5: np.ndarray
    split: np.ndarray | None
    points68: np.ndarray | None
    missing: list[str]


def find_celeba(root: str | Path) -> CelebA:
    """Find pictures and lists below ``root`` (a folder, or Kaggle's zip as it comes).

    Raises:
        OfhkitError: something is absent or wrong; says which file, and which line of it.
    """
    root = Path(os.path.expanduser(root))
    if not root.exists():
        raise OfhkitError(f"{root} does not exist; make it and {WHAT_GOES_WHERE}")
    images = _find_images(root)
    label, text = _find_list(root, images, LANDMARK_LIST)
    if text is None:
        raise OfhkitError(f"no {LANDMARK_LIST}.txt or .csv in {root}; {WHAT_GOES_WHERE}")
    listed = parse_landmarks(text, label)
    there = set(images.names())
    missing = [name for name in listed if name not in there]
    unlisted = sorted(there.difference(listed))
    names = [name for name in listed if name in there] + unlisted
    if len(names) == len(unlisted):
        raise OfhkitError(f"{label} names no picture of {images.path}; the two do not belong together")
    nothing = np.full((5, 2), np.nan, np.float32)
    points5 = np.array([listed.get(name, nothing) for name in names], np.float32)
    label, text = _find_list(root, images, PARTITION_LIST)
    split = None
    if text is not None:
        partition = parse_partition(text, label)
        split = np.array([partition.get(name, -1) for name in names], np.int8)
    return CelebA(images, names, points5, split, _find_points68(root, names), missing)


def parse_landmarks(text: str, label: str) -> dict[str, np.ndarray]:
    """Five points by picture name, from CelebA's text list (count, header, rows) or Kaggle's CSV (header, rows).

    Raises:
        OfhkitError: names ``label`` and the line that is wrong.

    >>> parse_landmarks('1\\n' + COLUMNS + '\\na.jpg 1 2 3 4 5 6 7 8 9 10', 'list.txt')['a.jpg'][4].tolist()
    [9.0, 10.0]
    """
    rows = _rows(text)
    number, first = next(rows, (1, []))
    count = None
    if len(first) == 1 and first[0].isdecimal() and len(first[0]) < 20:
        count = int(first[0])
        number, first = next(rows, (2, []))
    if [c.lower() for c in first if c.lower() != "image_id"] != COLUMNS.split():
        raise OfhkitError(
            f"{label}, line {number}: this is no list of CelebA's aligned landmarks, whose header is '{COLUMNS}'"
        )
    points: dict[str, np.ndarray] = {}
    for number, (name, *values) in rows:
        try:
            xy = np.array(values, np.float32)
        except ValueError:
            xy = np.empty(0)
        if xy.shape != (10,) or not np.isfinite(xy).all():
            raise OfhkitError(f"{label}, line {number}: expected a picture's name and 10 numbers")
        if name in points:
            raise OfhkitError(f"{label}, line {number}: {name} is listed twice")
        points[name] = xy.reshape(5, 2)
    if count is not None and count != len(points):
        raise OfhkitError(f"{label}, line 1: says {count} pictures, but {len(points)} follow; download the list again")
    return points


def parse_partition(text: str, label: str) -> dict[str, int]:
    """Split (0 train, 1 val, 2 test) by picture name, from CelebA's text list or Kaggle's CSV.

    Raises:
        OfhkitError: names ``label`` and the line that is wrong.

    >>> parse_partition('image_id,partition\\na.jpg,2', 'list.csv')
    {'a.jpg': 2}
    """
    split: dict[str, int] = {}
    for number, row in _rows(text):
        if number == 1 and row[-1].lower() == "partition":
            continue
        if len(row) != 2 or row[1] not in ("0", "1", "2"):
            raise OfhkitError(f"{label}, line {number}: expected a picture's name and 0, 1 or 2")
        split[row[0]] = int(row[1])
    return split


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and fields of the lines that are not empty."""
    for number, line in enumerate(text.splitlines(), 1):
        if fields := line.replace(",", " ").split():
            yield number, fields


def _find_images(root: Path) -> FolderImages | ZipImages:
    """Pictures below ``root``: an unpacked folder first, then a zip."""
    if root.is_file():
        return ZipImages(root)
    for place in (root / IMAGES, root / "Img" / IMAGES, root):
        nested = place / IMAGES
        folder = nested if nested.is_dir() else place
        if folder.is_dir() and (images := FolderImages(folder)).names():
            return images
    zips = [path for folder in (root, root / "Img") for path in sorted(folder.glob("*.zip"))]
    for path in sorted(zips, key=lambda p: p.stem != IMAGES):
        if (images := ZipImages(path)).members:
            return images
    raise OfhkitError(f"no CelebA pictures in {root}; {WHAT_GOES_WHERE}")


def _find_list(root: Path, images: FolderImages | ZipImages, stem: str) -> tuple[str, str | None]:
    """Label and text of the list ``stem`` beside the pictures, or inside their zip."""
    data, label = None, ""
    if root.is_dir():
        paths = [root / folder / f"{stem}{end}" for folder in FOLDERS for end in (".txt", ".csv")]
        if path := next((p for p in paths if p.is_file()), None):
            data, label = path.read_bytes(), str(path)
    if data is None and isinstance(images, ZipImages):
        member = images.lists.get(f"{stem}.txt") or images.lists.get(f"{stem}.csv")
        if member is not None:
            label = f"{images.path}:{member}"
            try:
                data = images.read(member)
            except OSError as error:
                raise OfhkitError(f"{label} cannot be read ({error}); unpack the zip beside it") from None
    try:
        return label, None if data is None else data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise OfhkitError(f"{label} is not a text file; download it again") from None


def _find_points68(root: Path, names: list[str]) -> np.ndarray | None:
    """68 points of ``names`` from ``landmarks_68.npz``, matched by name; None where there is no such file."""
    path = next((p for p in (root / folder / POINTS_68 for folder in FOLDERS) if p.is_file()), None)
    if path is None:
        return None
    try:
        known, points = read_npz(path, ("names", "points"), _BYTES * (len(names) + 1000))
        points = points.astype(np.float32)
    except (TypeError, ValueError) as error:
        raise OfhkitError(f"{path} holds no arrays 'names' (N,) and 'points' (N, 68, 2) ({error})") from None
    if known.ndim != 1 or points.shape != (len(known), 68, 2):
        raise OfhkitError(f"{path}: 'names' is {known.shape} and 'points' {points.shape}; expected (N,) and (N, 68, 2)")
    row = {str(name): i for i, name in enumerate(known)}
    padded = np.concatenate([points, np.full((1, 68, 2), np.nan, np.float32)])
    return padded[[row.get(name, -1) for name in names]]


def load_template(path: str | Path | None) -> np.ndarray:
    """Read five points (left eye, right eye, nose, left and right mouth corner; pixels of a 128x128 crop) from JSON.

    Args:
        path: file whose ``points`` are the five pairs; the name of one that ships (``celeba_native``); None for the
            default template.

    Raises:
        OfhkitError: the file cannot be read or does not hold five points.
    """
    if path is None:
        return np.array(DEFAULT_TEMPLATE)
    shipped = ASSETS / f"template_{path}.json"
    try:
        points = np.array(json.loads((shipped if shipped.is_file() else Path(path)).read_text())["points"], np.float64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OfhkitError(
            f"the template {path} cannot be read ({error!r}); expected JSON with 'points': five [x, y]"
        ) from None
    if points.shape != (5, 2) or not np.isfinite(points).all() or np.ptp(points, 0).min() < 1:
        raise OfhkitError(f"the template {path} does not hold five different points [x, y]")
    return points


def choose(celeba: CelebA, split: str, limit: int | None, seed: int) -> np.ndarray:
    """Rows of ``celeba`` to look at, in the order in which they enter the pack.

    The official order is the list's own; a limit takes the first of every split, in proportion. The paper's split is
    random: a seeded permutation, whose first faces become the test set.

    Raises:
        OfhkitError: there is no partition list, or it leaves training or test without a face.
    """
    total = len(celeba.names)
    if split == "paper":
        return np.random.default_rng(seed).permutation(total)[:limit]
    if celeba.split is None:
        raise OfhkitError(
            f"no list_eval_partition.txt or .csv beside {celeba.images.path}; put it there or use --split paper"
        )
    for value, label in ((0, "train"), (2, "test")):
        if not (celeba.split == value).any():
            raise OfhkitError(
                f"the partition list gives no picture of {celeba.images.path} to the {label} split ({value}); "
                "use CelebA's own list or --split paper"
            )
    share = np.zeros(total)
    for value in np.unique(celeba.split):
        rows = np.flatnonzero(celeba.split == value)
        share[rows] = np.arange(len(rows)) / len(rows)
    return np.sort(np.argsort(share, kind="stable")[:limit])


def fingerprint(celeba: CelebA, order: np.ndarray) -> str:
    """Digest of what is to be prepared: names, points and splits in order (the pictures themselves are not read)."""
    digest = hashlib.sha256("\n".join(celeba.names[i] for i in order).encode())
    for array in (celeba.points5, celeba.points68, celeba.split):
        digest.update(b"-" if array is None else array[order].tobytes())
    return digest.hexdigest()[:16]
