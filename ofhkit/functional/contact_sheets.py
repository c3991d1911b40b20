"""Many faces in one picture, with their landmarks and parsing labels drawn over them where wanted."""

from __future__ import annotations

import cv2
import numpy as np

_COLORS = np.array([
    (0, 0, 0), (255, 205, 170), (150, 75, 0), (90, 45, 0), (0, 160, 255), (0, 90, 200), (255, 140, 140), (200, 0, 60),
    (110, 0, 0), (255, 60, 110), (70, 50, 160), (255, 170, 0), (160, 200, 120), (40, 140, 60), (0, 230, 230),
    (230, 230, 0),
], np.uint8)  # fmt: skip  # one for each of ofhkit.functional.parsing.PARSING_LABELS


def contact_sheet(
    faces: np.ndarray,
    columns: int = 8,
    scale: int = 1,
    landmarks: np.ndarray | None = None,
    parsing: np.ndarray | None = None,
) -> np.ndarray:
    """Tile faces row by row; with labels each face is followed by itself with the labels drawn over it.

    Args:
        scale: enlargement (nearest pixel), so that points can be told apart.

    Shape:
        faces (N, 3, H, W) uint8 RGB, landmarks (N, K, 2) pixels, parsing (N, H, W) labels 0..15
        -> (rows * H * scale, columns * W * scale, 3) uint8 RGB; empty cells are white.

    >>> contact_sheet(np.zeros((5, 3, 8, 8), np.uint8), columns=4).shape
    (16, 32, 3)
    """
    cells = [np.ascontiguousarray(face.transpose(1, 2, 0)) for face in faces]
    if landmarks is not None or parsing is not None:
        points = [None] * len(cells) if landmarks is None else landmarks
        labels = [None] * len(cells) if parsing is None else parsing
        cells = [
            part
            for cell, p, l in zip(cells, points, labels)
            for part in (_enlarge(cell, scale), _draw(cell, p, l, scale))
        ]
    else:
        cells = [_enlarge(cell, scale) for cell in cells]
    columns = min(columns, len(cells))
    height, width = cells[0].shape[:2]
    sheet = np.full((-(-len(cells) // columns) * height, columns * width, 3), 255, np.uint8)
    for i, cell in enumerate(cells):
        top, left = i // columns * height, i % columns * width
        sheet[top : top + height, left : left + width] = cell
    return sheet


def _enlarge(image: np.ndarray, scale: int) -> np.ndarray:
    return image.repeat(scale, 0).repeat(scale, 1)


def _draw(face: np.ndarray, points: np.ndarray | None, labels: np.ndarray | None, scale: int) -> np.ndarray:
    if labels is not None:
        face = cv2.addWeighted(face, 0.45, _COLORS[labels], 0.55, 0)
    out = _enlarge(face, scale)
    for x, y in points if points is not None else ():
        centre = round((x + 0.5) * scale - 0.5), round((y + 0.5) * scale - 0.5)
        cv2.circle(out, centre, max(1, scale // 2), (0, 255, 0), -1)
    return out
