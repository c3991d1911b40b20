"""Rendering many faces with several processes, in order.

On Linux the processes are forked, as a data loader's are: they share the tables that this process has made and start
at once. Elsewhere they are spawned.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection

import cv2
import numpy as np

from ofhkit.rendering.render import render_face

CHUNK = 32  # faces

Faces = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Stacked faces (n, 3, 128, 128) uint8, landmarks (n, 68, 2) float32, parsing (n, 128, 128) uint8."""


def render_many(seed: int, split: str, indices: range) -> Faces:
    """Render faces one after the other in this process."""
    rendered = [render_face(seed, split, i) for i in indices]
    return tuple(np.stack([face[k] for face in rendered]) for k in range(3))


def render_chunks(
    seed: int, split: str, start: int, stop: int, num_workers: int, chunk: int = CHUNK, method: str | None = None
) -> Iterator[Faces]:
    """Yield the faces ``start`` to ``stop - 1`` in chunks, in order, rendered by ``num_workers`` processes.

    With fewer than two workers, or one chunk, this process renders itself.

    Args:
        method: ``'fork'`` or ``'spawn'``; default: fork on Linux, else spawn.

    Raises:
        RuntimeError: a worker died; its error output is on the terminal.
    """
    chunks = [range(a, min(a + chunk, stop)) for a in range(start, stop, chunk)]
    num_workers = min(num_workers, len(chunks))
    if num_workers < 2:
        yield from (render_many(seed, split, part) for part in chunks)
        return
    context = multiprocessing.get_context(method or ("fork" if sys.platform == "linux" else "spawn"))
    render_face(seed, split, start)  # makes the tables, once for all forked processes
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # no thread of OpenCV's may be running when this process forks
    pipes, workers = [], []
    try:
        for k in range(num_workers):
            reader, writer = context.Pipe(duplex=False)
            worker = context.Process(target=_work, args=(seed, split, chunks[k::num_workers], writer), daemon=True)
            worker.start()
            writer.close()
            pipes.append(reader)
            workers.append(worker)
        cv2.setNumThreads(threads)
        for i in range(len(chunks)):
            try:
                yield pipes[i % num_workers].recv()
            except EOFError:
                raise RuntimeError("a rendering process died; its message is above") from None
    finally:
        cv2.setNumThreads(threads)
        for worker, pipe in zip(workers, pipes):
            worker.terminate()
            worker.join()
            pipe.close()


def _work(seed: int, split: str, chunks: list[range], out: Connection) -> None:
    """Render ``chunks`` and send them one by one."""
    cv2.setNumThreads(1)
    try:
        for part in chunks:
            out.send(render_many(seed, split, part))
    except (BrokenPipeError, KeyboardInterrupt):  # the parent went away
        return
