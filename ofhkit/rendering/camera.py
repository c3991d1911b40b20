"""From the head's space to the aligned 128x128 crop, its exact labels, and what a camera does to the picture."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from ofhkit.functional.alignment import DEFAULT_TEMPLATE, similarity
from ofhkit.functional.face_labels import PARSING_LABELS
from ofhkit.functional.task import HR_SIZE
from ofhkit.rendering.atlas import azimuth
from ofhkit.rendering.head import BODY, Head, load_head
from ofhkit.rendering.scene import Scene

IMAGE_SIZE = HR_SIZE
SAMPLES = 2  # rendered pixels per picture pixel, along each axis
RENDER_SIZE = IMAGE_SIZE * SAMPLES


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation matrix (3, 3): yaw about y, then pitch about x, then roll about z; radians.

    Positive yaw turns the face to the image's right, positive pitch nods it down, positive roll turns it
    counter-clockwise.

    >>> bool(np.allclose(rotation(0.3, 0.2, 0.1) @ rotation(0.3, 0.2, 0.1).T, np.eye(3)))
    True
    """
    (cy, cp, cr), (sy, sp, sr) = np.cos([yaw, pitch, roll]), np.sin([yaw, pitch, roll])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_z @ about_x @ about_y


class Camera(NamedTuple):
    """Perspective view of the turned head, followed by the alignment of its five points with the template.

    Attributes:
        turn: (3, 3) rotation of the head.
        centre: (3,) the point it turns about.
        distance: of the camera from ``centre``, in units of the head model.
        zoom, shift: complex numbers; picture position = zoom * (x - iy of the perspective image) + shift.
    """

    turn: np.ndarray
    centre: np.ndarray
    distance: float
    zoom: complex = 1.0
    shift: complex = 0.0

    def rotate(self, vectors: np.ndarray) -> np.ndarray:
        """Directions (V, 3) of the head's space in the camera's space (x right, y up, z to the viewer), float32."""
        v, r = vectors, self.turn.astype(np.float32)
        return np.stack([v[:, 0] * r[k, 0] + v[:, 1] * r[k, 1] + v[:, 2] * r[k, 2] for k in range(3)], 1)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return picture positions (V, 2), y down, and the nearness (V,) that grows towards the camera."""
        d = points.astype(np.float64) - self.centre
        x, y, z = (d[:, 0] * row[0] + d[:, 1] * row[1] + d[:, 2] * row[2] for row in self.turn)
        near = self.distance / (self.distance - z)
        at = (x - 1j * y) * near * self.zoom + self.shift
        return np.stack([at.real, at.imag], 1), near

    def aligned(self, five: np.ndarray) -> Camera:
        """The same camera, its picture moved, turned and scaled so that five points (5, 2) meet the template best."""
        matrix = similarity(five, np.array(DEFAULT_TEMPLATE))
        zoom = complex(matrix[0, 0], matrix[1, 0])
        return self._replace(zoom=self.zoom * zoom, shift=self.shift * zoom + complex(*matrix[:, 2]))


def to_render(points: np.ndarray) -> np.ndarray:
    """Picture positions to positions in the larger rendering; both count from the centre of the first pixel."""
    return points * SAMPLES + (SAMPLES - 1) / 2


def develop(linear: np.ndarray, exposure: float, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Exposure, lens blur, tone curve, sensor noise and JPEG.

    Shape:
        - linear: (3, RENDER_SIZE, RENDER_SIZE) float32 linear light, 1 = white
        - output: (3, IMAGE_SIZE, IMAGE_SIZE) uint8 RGB
    """
    gain = (exposure * scene.white_balance).astype(np.float32)
    image = cv2.merge([np.maximum(plane, 0) * g for plane, g in zip(linear, gain)])
    image = cv2.resize(image, (IMAGE_SIZE, IMAGE_SIZE), interpolation=cv2.INTER_AREA)
    if scene.blur > 0.15:
        image = cv2.GaussianBlur(image, (0, 0), scene.blur)
    image = image / (1 + np.maximum(image - np.float32(0.65), 0) * np.float32(0.8))  # a soft shoulder
    image = cv2.pow(image, 1 / 2.2)
    grey = cv2.transform(image, np.float32([[0.299, 0.587, 0.114]]))
    bright = np.clip(grey, 0, 1)
    curved = grey + np.float32(scene.contrast) * (bright * bright * (3 - 2 * bright) - bright)
    grain = rng.standard_normal((IMAGE_SIZE, IMAGE_SIZE, 4), np.float32)
    grain = grain[..., :3] * np.float32(0.6) + grain[..., 3:]
    noise = grain * (np.float32(scene.noise) * (np.float32(0.6) + np.float32(0.6) * cv2.sqrt(bright)))[..., None]
    image = curved[..., None] + (image - grey[..., None]) * np.float32(scene.saturation) + noise
    pixels = np.clip(image * np.float32(255) + np.float32(0.5), 0, 255).astype(np.uint8)
    if scene.jpeg_quality < 100:
        coded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, scene.jpeg_quality])[1]
        pixels = cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


LABEL = {name: value for value, name in enumerate(PARSING_LABELS)}


@lru_cache(maxsize=1)
def jaw_paths() -> list[np.ndarray]:
    """For each of the 17 jaw points the vertices from it towards the middle of the face, at its own level.

    When the head turns, the outline of the far cheek runs through later vertices of these paths.
    """
    head = load_head()
    mean, jaw = head.mean, head.mean[head.landmarks[:17]]
    body = np.unique(head.triangles[head.group == BODY])
    body = body[mean[body, 2] > 0.5]
    turn, height = azimuth(mean[body]), mean[body, 1]
    paths = []
    for i, point in enumerate(jaw):
        start = azimuth(point)
        path = [int(head.landmarks[i])]
        # the level rises towards the cheek for the chin's points, whose silhouette lies higher when the head turns
        for share in np.linspace(0.0, 0.75, 13)[1:]:
            wanted = start * (1 - share)
            level = point[1] + 0.25 * share * max(0.0, 6.75 - point[1]) * (abs(i - 8) < 7)
            vertex = int(body[np.argmin((turn - wanted) ** 2 + (height - level) ** 2)])
            if vertex != path[-1]:
                path.append(vertex)
        paths.append(np.array(path))
    return paths


def landmarks68(head: Head, points: np.ndarray, camera: Camera) -> np.ndarray:
    """Project the 68 points; on the far side the jaw points move to the visible outline.

    Shape:
        - points: (V, 3) the person's mesh, head space
        - output: (68, 2) float64, picture pixels
    """
    paths = jaw_paths()
    projected = camera.project(points[np.concatenate([head.landmarks, *paths])])[0]
    out, marched = projected[:68].copy(), np.split(projected[68:], np.cumsum([len(p) for p in paths])[:-1])
    middle = out[27:36].mean(0)
    for i, along in enumerate(marched):
        if i == 8:
            continue
        outwards = np.array([-1.0 if i < 8 else 1.0, 0.0])  # picture x grows away from the face on the right side
        if abs(i - 8) <= 3:
            outwards = (out[i] - middle) / np.sqrt(((out[i] - middle) ** 2).sum())
        out[i] = along[np.argmax(along[:, 0] * outwards[0] + along[:, 1] * outwards[1])]
    return out


def reduce_labels(labels: np.ndarray) -> np.ndarray:
    """Halve a label map: the commonest label of each 2 x 2 block; (2H, 2W) in, (H, W) out.

    >>> reduce_labels(np.array([[3, 5], [5, 7]], np.uint8)).tolist()
    [[5]]
    """
    a, b, c, d = labels[::2, ::2], labels[::2, 1::2], labels[1::2, ::2], labels[1::2, 1::2]
    return np.where((b == c) | (b == d), b, np.where(c == d, c, a))
