"""Damage that shows by itself: flat blocks, missing borders, dropped pixels.

Real skin and cloth are never exactly flat; a block of one color with straight edges was put in. A sky or a burnt-out
background is flat too, but rarely a rectangle.
"""

from __future__ import annotations

import cv2
import numpy as np

from ofhkit.restoration.salt_and_pepper import strips

__all__ = ["find_damage"]

FLAT = 3  # grey levels that a block may vary in: JPEG's ripple
MIN_BLOCK = 9 / 256  # of the picture's area: three by three pixels of a 16x16 face
RECTANGULAR = 0.9  # share of its bounding box that a block fills
EDGE = 12  # grey levels by which a block differs from what is beside it
SMEARED = 24  # grey levels by which JPEG moves the pixels beside a block
MARGIN = 8  # pixels round a block that are looked at
LARGEST_DROPOUT = 12  # pixels
FEWEST_DROPOUTS = 0.005  # of the picture


def find_damage(rgb: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Find what is missing.

    Shape:
        rgb (H, W, 3) uint8 -> mask (H, W) bool, True = missing; and what was found, in words

    >>> image = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3); image[4:9, 5:11] = 0
    >>> mask, found = find_damage(image)
    >>> int(mask.sum()), found
    (30, ('a flat block of 6x5',))
    """
    mask = np.zeros(rgb.shape[:2], bool)
    found: list[str] = []
    for side, rows in _borders(rgb).items():
        mask[rows] = True
        found.append(f"a missing {side} border")
    if mask.all():  # one color throughout: nothing is missing from it
        return np.zeros_like(mask), ()
    for top, bottom, left, right in _blocks(rgb, mask):
        mask[top:bottom, left:right] = True
        found.append(f"a flat block of {right - left}x{bottom - top}")
    dropped = _dropouts(rgb) & ~mask
    if dropped.any():
        mask |= dropped
        found.append(f"{int(dropped.sum())} dropped pixels")
    return mask, tuple(found)


def _borders(rgb: np.ndarray) -> dict[str, tuple]:
    """Rows and columns of one color that reach from the rim inwards."""
    found = {}
    for side, lines in (
        ("top", rgb),
        ("bottom", rgb[::-1]),
        ("left", rgb.transpose(1, 0, 2)),
        ("right", rgb.transpose(1, 0, 2)[::-1]),
    ):
        same = (np.ptp(lines, axis=1) <= FLAT).all(-1)
        alike = (np.abs(lines[:, 0].astype(np.int16) - lines[0, 0]) <= FLAT).all(-1)
        depth = int(np.argmin(np.append(same & alike, False)))
        if depth:
            outer = slice(0, depth) if side in ("top", "left") else slice(len(lines) - depth, None)
            found[side] = (outer, slice(None)) if side in ("top", "bottom") else (slice(None), outer)
    return found


def _blocks(rgb: np.ndarray, known: np.ndarray) -> list[list[int]]:
    """Rectangles in which every pixel equals its neighbours: top, bottom, left, right."""
    tiny = min(rgb.shape[:2]) <= 32  # where a face is smooth enough to be flat here and there
    ripple = 0 if tiny else FLAT
    right = cv2.absdiff(rgb[:, 1:], rgb[:, :-1]).max(-1) <= ripple
    down = cv2.absdiff(rgb[1:], rgb[:-1]).max(-1) <= ripple
    square = right[:-1] & right[1:] & down[:, :-1] & down[:, 1:]  # two by two pixels that are alike
    square &= ~known[:-1, :-1]
    _, labels, stats, _ = cv2.connectedComponentsWithStats(square.astype(np.uint8), connectivity=4)
    smallest = 9 if tiny else max(9, MIN_BLOCK / 4 * square.size)
    blocks = []
    for label in np.flatnonzero(stats[:, cv2.CC_STAT_AREA] >= min(4, smallest))[1:]:
        x, y, w, h, area = (int(v) for v in stats[label])
        if min(w, h) < 2 or (w + 1) * (h + 1) < smallest or area < RECTANGULAR / 2 * w * h:
            continue
        part = labels[y : y + h, x : x + w] == label
        color = np.rint(np.median(rgb[y : y + h, x : x + w][part], axis=0))
        top, left = max(0, y - MARGIN), max(0, x - MARGIN)
        near = np.ascontiguousarray(rgb[top : y + h + MARGIN, left : x + w + MARGIN])  # the block and what is round it
        away = cv2.absdiff(near, (*color.tolist(), 0)).max(-1)  # how far the farthest band is from the color's
        like = away <= 2 * ripple
        y, x = y - top, x - left
        rows, columns = (_longest(like[y : y + h + 1, x : x + w + 1].mean(axis) > 0.5) for axis in (1, 0))
        box = [y + rows.start, y + rows.stop, x + columns.start, x + columns.stop]
        inside = like[box[0] : box[1], box[2] : box[3]]
        fits = min(inside.shape) >= 3 and inside.size >= smallest and inside.mean() >= RECTANGULAR
        if fits and (tiny or _stands_out(box, away)):
            box = box if tiny else _grown(box, away <= SMEARED)
            blocks.append([box[0] + top, box[1] + top, box[2] + left, box[3] + left])
    return blocks


def _stands_out(box: list[int], away: np.ndarray) -> bool:
    """Whether the picture changes at once beyond the rectangle's sides, as a wall's or a sky's flat parts do not."""
    top, bottom, left, right = box
    lines = [away[r : r + 1, left:right] for r in (top - 3, bottom + 2) if 0 <= r < len(away)]
    lines += [away[top:bottom, c : c + 1] for c in (left - 3, right + 2) if 0 <= c < away.shape[1]]
    beyond = [(line > EDGE).ravel() for line in lines]
    return bool(beyond) and bool(np.concatenate(beyond).mean() >= 0.7) and min(b.mean() for b in beyond) >= 0.3


def _longest(flags: np.ndarray) -> slice:
    """The longest run of True."""
    ends = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))).reshape(-1, 2)
    return slice(*max(ends.tolist(), key=lambda run: run[1] - run[0], default=(0, 0)))


def _grown(box: list[int], like: np.ndarray) -> list[int]:
    """A rectangle with up to two more lines on each side, where JPEG has smeared its color."""
    for _ in range(2):
        top, bottom, left, right = box
        lines = (like[top - 1 : top, left:right], like[bottom : bottom + 1, left:right],
                 like[top:bottom, left - 1 : left], like[top:bottom, right : right + 1])  # fmt: skip
        grow = [line.size > 0 and line.mean() > 0.8 for line in lines]
        box = [top - grow[0], bottom + grow[1], left - grow[2], right + grow[3]]
    return box


def _dropouts(rgb: np.ndarray) -> np.ndarray:
    """Spots, quite black or quite white, far from the mean of the pixels around; one spot alone is no damage."""
    black, white = (rgb <= 2).all(-1), (rgb >= 253).all(-1)
    largest = LARGEST_DROPOUT if (black | white).mean() < 0.15 else 5 * LARGEST_DROPOUT
    least = 80 if min(rgb.shape[:2]) <= 32 else 40
    dropouts = np.zeros_like(black)
    for around, part, inside in strips(len(rgb), largest + 2):  # what is cut off at its rim is too large
        spots = _small(black[around], largest) | _small(white[around], largest)
        known = (~spots).astype(np.float32)
        weight = cv2.blur(known, (5, 5))[inside]
        spots = spots[inside] & (weight > 1e-3)
        for band in cv2.split(rgb[around]):
            mean = cv2.blur(band * known, (5, 5))[inside][spots] / weight[spots]
            spots[spots] = np.abs(band[inside][spots] - mean) > least
        dropouts[part] = spots
    return dropouts if dropouts.sum() >= max(2, FEWEST_DROPOUTS * dropouts.size) else np.zeros_like(dropouts)


def _small(pixels: np.ndarray, largest: int) -> np.ndarray:
    """Of these pixels those that hang together with few others."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(pixels.astype(np.uint8), connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] <= largest
    small[0] = False
    return small[labels]
