"""Putting a whole face back into its photograph, with a soft border; and drawing what was understood."""

from __future__ import annotations

import cv2
import numpy as np

from ofhkit.functional.alignment import invert, transform_points
from ofhkit.functional.task import HR_SIZE

__all__ = ["draw_overlay", "draw_uncertainty", "in_the_form_of", "paste_back", "place"]

BORDER = 14  # crop pixels over which a pasted face fades in
RED = (230, 30, 30)
ROWS = 256  # that are mixed at a time, for the sake of memory
FULL_SCALE = 0.15  # standard deviation that is drawn brightest
LEGEND = 18  # pixels of the strip below a map


def place(
    sr: np.ndarray, matrix: np.ndarray, height: int, width: int
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray, float] | None:
    """A crop as it lies in its picture.

    Shape:
        sr (128, 128, 3) uint8, matrix (2, 3) picture -> crop. Output: the part of the picture that it covers, the face
        there (h, w, 3) uint8, its weight (h, w), which fades at the crop's border, and picture pixels a crop pixel;
        None where it covers nothing.
    """
    back = invert(matrix)
    corners = transform_points(back, np.array([[0, 0], [0, HR_SIZE], [HR_SIZE, 0], [HR_SIZE, HR_SIZE]]) - 0.5)
    left, top = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, (width, height))
    if right <= left or bottom <= top:
        return None
    size = (int(right - left), int(bottom - top))
    fade = _soft_square()
    factor = np.sqrt(abs(np.linalg.det(back[:, :2])))
    if factor < 0.75:  # the photograph's face is smaller than the crop: shrink first, so that nothing aliases
        side = max(1, round(HR_SIZE * factor))
        sr, fade = (cv2.resize(x, (side, side), interpolation=cv2.INTER_AREA) for x in (sr, fade))
        step = HR_SIZE / side
        back = np.column_stack([back[:, :2] * step, back @ np.array([(step - 1) / 2] * 2 + [1.0])])
    back = back.copy()
    back[:, 2] -= (left, top)
    face = cv2.warpAffine(sr, back, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.warpAffine(fade, back, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.s_[top:bottom, left:right], face, weight, float(factor)


def paste_back(pixels: np.ndarray, sr: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Put a whole face where it was taken from; what was transparent there becomes opaque.

    Shape:
        pixels (H, W, 1 to 4) uint8 or uint16: grey or RGB, then transparency; sr (128, 128, 3) uint8; matrix (2, 3)
        picture -> crop -> as pixels

    >>> grey = np.full((300, 300, 3), 90, np.uint8)
    >>> pasted = paste_back(grey, np.full((128, 128, 3), 200, np.uint8), np.array([[1., 0, -50], [0, 1, -60]]))
    >>> pasted[124, 114].tolist(), pasted[0, 0].tolist()
    ([200, 200, 200], [90, 90, 90])
    """
    placed = place(sr, matrix, *pixels.shape[:2])
    if placed is None:
        return pixels
    part, face, weight, _ = placed
    out = pixels.copy()
    for first in range(0, len(face), ROWS):
        rows = slice(first, first + ROWS)
        below = out[part][rows]
        mixed = below + weight[rows][..., None] * (in_the_form_of(pixels, face[rows]) - below)
        below[:] = np.rint(np.clip(mixed, 0, np.iinfo(out.dtype).max))
    return out


def in_the_form_of(pixels: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """Colors as a picture of other bands and bits holds them, opaque.

    Shape:
        pixels (..., 1 to 4) uint8 or uint16: grey or RGB, then transparency; rgb (..., 3) uint8 -> float32

    >>> in_the_form_of(np.zeros((1, 2), np.uint16), np.array([[255, 255, 255]], np.uint8)).tolist()
    [[65535.0, 65535.0]]
    """
    most, bands = np.iinfo(pixels.dtype).max, pixels.shape[-1]
    values = rgb.astype(np.float32) * (most // 255)
    if bands < 3:
        values = values @ np.array([[0.299], [0.587], [0.114]], np.float32)
    return values if bands in (1, 3) else np.concatenate([values, np.full_like(values[..., :1], most)], -1)


def _soft_square() -> np.ndarray:
    """1 inside the crop, falling to 0 at its border along a cosine."""
    distance = np.minimum(np.arange(HR_SIZE) + 0.5, HR_SIZE - 0.5 - np.arange(HR_SIZE))
    ramp = (1 - np.cos(np.pi * np.clip(distance / BORDER, 0, 1))) / 2
    return (ramp[:, None] * ramp[None, :]).astype(np.float32)


def draw_overlay(rgb: np.ndarray, mask: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """The picture with its hole in red and a frame round every crop; tiny pictures are enlarged.

    >>> draw_overlay(np.zeros((16, 16, 3), np.uint8), np.ones((16, 16), bool), np.zeros((0, 2, 3))).shape
    (128, 128, 3)
    """
    factor = max(1, 128 // max(rgb.shape[:2]))
    if factor > 1:
        rgb, mask = (x.repeat(factor, 0).repeat(factor, 1) for x in (rgb, mask))
    out = rgb.copy()
    for band, red in enumerate(RED):
        tint = np.rint(0.45 * np.arange(256) + 0.55 * red).astype(np.uint8)
        out[..., band] = np.where(mask, tint[out[..., band]], out[..., band])
    ends = np.array([[0, 0], [HR_SIZE - 1, 0], [HR_SIZE - 1, HR_SIZE - 1], [0, HR_SIZE - 1]], float)
    thick = max(1, round(max(rgb.shape[:2]) / 400))
    for matrix in matrices:
        corners = (transform_points(invert(matrix), ends) + 0.5) * factor - 0.5
        cv2.polylines(out, [np.rint(corners).astype(np.int32)], True, (40, 200, 60), thick, cv2.LINE_AA)
    return out


def draw_uncertainty(uncertainty: np.ndarray, invented: np.ndarray) -> np.ndarray:
    """A standard deviation as a color map (dark: sure; bright: 0.15 or more), the hole outlined, with a legend below.

    Shape:
        uncertainty, invented (128, 128) -> (146, 128, 3) uint8 RGB
    """
    out = _colors(uncertainty / FULL_SCALE)
    outlines, _ = cv2.findContours(invented.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(out, outlines, -1, (255, 255, 255), 1)
    legend = np.full((LEGEND, out.shape[1], 3), 255, np.uint8)
    legend[2:6] = _colors(np.linspace(0, 1, out.shape[1])[None])
    for text, left in (("sure", 1), (f"{FULL_SCALE}", out.shape[1] - 27)):
        cv2.putText(legend, text, (left, LEGEND - 3), cv2.FONT_HERSHEY_SIMPLEX, 0.33, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([out, legend])


def _colors(shares: np.ndarray) -> np.ndarray:
    levels = np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[..., ::-1])
