"""Rendering many faces with several processes, in order."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ofhkit.data.pool import parallel
from ofhkit.rendering.render import render_face

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
