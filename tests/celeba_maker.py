"""Writes small CelebA folders with drawn cartoon faces, in every layout that people have."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np

HEADER = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
SHAPE = np.array([(-19, 0), (19, 0), (0, 23), (-17, 41), (17, 41)], float)


def cartoon(rng: np.random.Generator, height: int = 218, width: int = 178) -> tuple[np.ndarray, np.ndarray]:
    """A drawn face (H, W, 3) uint8 and its five points, whole pixels as in CelebA's list."""
    image = cv2.resize(rng.integers(0, 255, (6, 5, 3)).astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    angle, zoom = rng.uniform(-0.15, 0.15), rng.uniform(0.9, 1.1) * height / 218
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.round(SHAPE @ turn.T + [width / 2, height * 0.5] + rng.uniform(-3, 3, 2)).astype(int)
    middle = tuple(int(v) for v in points[2])
    cv2.ellipse(image, middle, (round(38 * zoom), round(52 * zoom)), np.degrees(angle), 0, 360, (210, 170, 140), -1)
    for x, y in points[:2].tolist():
        cv2.circle(image, (x, y), round(6 * zoom), (250, 250, 250), -1)
        cv2.circle(image, (x, y), round(3 * zoom), (40, 30, 20), -1)
    cv2.line(image, points[3].tolist(), points[4].tolist(), (160, 40, 50), round(4 * zoom))
    cv2.circle(image, middle, round(4 * zoom), (180, 130, 100), -1)
    return image, points


def jpeg(image: np.ndarray) -> bytes:
    """The picture as JPEG."""
    return cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()


def sixty_eight(points: np.ndarray) -> np.ndarray:
    """68 points whose eye centres, nose tip and mouth corners are the five given ones (the rest is made up)."""
    all_points = np.repeat(points.mean(0, keepdims=True), 68, 0) + np.arange(68)[:, None] * [0.1, 0.05]
    ring = np.array([(-5, 0), (-2, -3), (2, -3), (5, 0), (2, 3), (-2, 3)], float)
    all_points[36:42], all_points[42:48] = points[0] + ring, points[1] + ring
    all_points[[30, 48, 54]] = points[2:]
    return all_points


class MadeCelebA:
    """Faces in memory, to be written in any layout.

    Args:
        count: faces; the first 60 % are for training, 20 % each for validation and test.
        points68: whether ``landmarks_68.npz`` comes along.
    """

    def __init__(self, count: int = 20, *, seed: int = 0, points68: bool = True, size: tuple[int, int] = (218, 178)):
        rng = np.random.default_rng(seed)
        self.names = [f"{i + 1:06d}.jpg" for i in range(count)]
        drawn = [cartoon(rng, *size) for _ in range(count)]
        self.files = {name: jpeg(image) for name, (image, _) in zip(self.names, drawn)}
        self.points = {name: points for name, (_, points) in zip(self.names, drawn)}
        self.split = {n: 0 if i < 0.6 * count else 1 if i < 0.8 * count else 2 for i, n in enumerate(self.names)}
        self.points68 = points68

    def landmark_txt(self) -> str:
        rows = [f"{n}  " + "  ".join(str(v) for v in p.ravel()) for n, p in self.points.items()]
        return "\n".join([str(len(rows)), HEADER, *rows]) + "\n"

    def landmark_csv(self) -> str:
        rows = [",".join([n, *(str(v) for v in p.ravel())]) for n, p in self.points.items()]
        return "\n".join(["image_id," + HEADER.replace(" ", ","), *rows]) + "\n"

    def partition_txt(self) -> str:
        return "".join(f"{n} {s}\n" for n, s in self.split.items())

    def partition_csv(self) -> str:
        return "image_id,partition\n" + "".join(f"{n},{s}\n" for n, s in self.split.items())

    def _points68(self, folder: Path) -> None:
        if self.points68:
            names = ["unknown.jpg", *reversed(self.names)]
            points = [np.zeros((68, 2)), *(sixty_eight(self.points[n]) for n in names[1:])]
            np.savez(folder / "landmarks_68.npz", names=np.array(names), points=np.array(points, np.float32))

    def _unpack(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        for name, data in self.files.items():
            (folder / name).write_bytes(data)

    def _zip(self, path: Path, **lists: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("__MACOSX/img_align_celeba/._000001.jpg", b"shadow")
            for name, data in self.files.items():
                file.writestr(f"img_align_celeba/{name}", data)
            for name, text in lists.items():
                file.writestr(f"{name}.csv", text)

    def flat(self, root: Path) -> Path:
        """Folder of pictures and text lists side by side."""
        self._unpack(root / "img_align_celeba")
        return self._texts(root, root)

    def flat_zip(self, root: Path) -> Path:
        """The zip as downloaded, text lists beside it."""
        self._zip(root / "img_align_celeba.zip")
        return self._texts(root, root)

    def official(self, root: Path) -> Path:
        """CelebA's own tree with the zip."""
        self._zip(root / "Img" / "img_align_celeba.zip")
        (root / "Anno").mkdir()
        (root / "Eval").mkdir()
        return self._texts(root / "Anno", root / "Eval") and root

    def kaggle(self, root: Path) -> Path:
        """Kaggle's archive, unpacked: nested folder and CSV lists."""
        self._unpack(root / "img_align_celeba" / "img_align_celeba")
        (root / "list_landmarks_align_celeba.csv").write_text(self.landmark_csv())
        (root / "list_eval_partition.csv").write_text(self.partition_csv())
        self._points68(root)
        return root

    def kaggle_zip(self, root: Path) -> Path:
        """Kaggle's archive as it comes."""
        self._zip(
            root / "archive.zip",
            list_landmarks_align_celeba=self.landmark_csv(),
            list_eval_partition=self.partition_csv(),
        )
        self._points68(root)
        return root

    def _texts(self, landmarks: Path, partition: Path) -> Path:
        (landmarks / "list_landmarks_align_celeba.txt").write_text(self.landmark_txt())
        (partition / "list_eval_partition.txt").write_text(self.partition_txt())
        self._points68(landmarks)
        return landmarks
