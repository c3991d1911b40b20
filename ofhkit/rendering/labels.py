"""Exact labels: the 68 points of a posed head and the parsing map of a rendering."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ofhkit.functional.parsing import PARSING_LABELS
from ofhkit.rendering.atlas import azimuth
from ofhkit.rendering.camera import Camera
from ofhkit.rendering.head import BODY, Head, load_head

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
