"""Tiles of noise, made once and looked up at random places: cheaper than new noise for every face."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

SIZE = 512


def _tile(rng: np.random.Generator, power: float, stretch: float = 1.0, low: float = 1.0, high: float = 256.0):
    """Periodic noise of unit variance: spectrum 1 / f^power, rows ``stretch`` times coarser than columns."""
    fy, fx = np.meshgrid(np.fft.fftfreq(SIZE) * SIZE, np.fft.rfftfreq(SIZE) * SIZE, indexing="ij")
    f = np.hypot(fy * stretch, fx)
    gain = np.where((f >= low) & (f <= high), np.maximum(f, 1.0) ** -power, 0)
    spectrum = np.fft.rfft2(rng.standard_normal((SIZE, SIZE))) * gain
    out = np.fft.irfft2(spectrum, s=(SIZE, SIZE))
    return (out / out.std()).astype(np.float32)


@lru_cache(maxsize=1)
def tiles() -> dict[str, np.ndarray]:
    """{name: (SIZE, SIZE) float32, periodic, mean 0, variance 1}.

    ``mottle`` soft blotches, ``pores`` fine grain, ``strands`` long along y, ``fuzz`` short hairs, ``curls`` round
    structure, ``clouds`` the largest scales only, ``knit`` threads.
    """
    rng = np.random.default_rng(1811_04645)
    strands = _tile(rng, 0.75, 14.0, 2.0)
    return {
        "mottle": _tile(rng, 1.5, low=3.0, high=80.0),
        "pores": _tile(rng, 0.35, low=30.0),
        "strands": strands,
        "fuzz": _tile(rng, 0.3, 4.0, 20.0),
        "curls": _tile(rng, 0.9, 1.3, 14.0, 120.0),
        "clouds": _tile(rng, 1.9, low=1.0, high=40.0),
        "knit": _tile(rng, 0.4, 3.0, 30.0),
    }


def look_up(names: str, x: np.ndarray, y: np.ndarray, offset: np.ndarray) -> list[np.ndarray]:
    """Read tiles at float32 positions (H, W) in tile pixels, moved by ``offset`` (2,) and wrapped round.

    Shape:
        - names: blank-separated; all are read at the same place, which costs one computation of it
        - output: one (H, W) float32 image a name
    """
    column = (x + np.float32(offset[0] + SIZE)).astype(np.int32) & (SIZE - 1)
    row = (y + np.float32(offset[1] + SIZE)).astype(np.int32) & (SIZE - 1)
    place = (row * SIZE + column).astype(np.intp)
    return [tiles()[name].ravel().take(place) for name in names.split()]
