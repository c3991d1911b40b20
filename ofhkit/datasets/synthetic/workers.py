"""Rendering many faces with several processes, in order.

Each worker is a fresh interpreter that calls :func:`main`, so that it works from any script, whether it guards its
main part or not, and inherits no threads. Faces come back through its standard output.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import cv2
import numpy as np

from ofhkit.datasets.synthetic.render import render_face
from ofhkit.functional.alignment import CROP_SIZE

CHUNK = 32  # faces
_PARTS = (((3, CROP_SIZE, CROP_SIZE), np.uint8), ((68, 2), np.float32), ((CROP_SIZE, CROP_SIZE), np.uint8))

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
        RuntimeError: a worker died; its error output is on the terminal.
    """
    chunks = [range(a, min(a + chunk, stop)) for a in range(start, stop, chunk)]
    num_workers = min(num_workers, len(chunks))
    if num_workers < 2:
        yield from (render_many(seed, split, part) for part in chunks)
        return
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    workers: list[subprocess.Popen] = []
    try:
        for k in range(num_workers):
            order = [str(v) for v in (seed, split, start, stop, k, num_workers, chunk)]
            command = [sys.executable, "-c", f"from {__name__} import main; main()", *order]
            workers.append(subprocess.Popen(command, stdout=subprocess.PIPE, env=environment))
        with ThreadPoolExecutor(num_workers) as readers:  # each worker is one chunk ahead
            waiting = [readers.submit(_read, w.stdout, len(part)) for w, part in zip(workers, chunks)]
            for i in range(len(chunks)):
                faces = waiting.pop(0).result()
                if i + num_workers < len(chunks):
                    pipe = workers[i % num_workers].stdout
                    waiting.append(readers.submit(_read, pipe, len(chunks[i + num_workers])))
                yield faces
    finally:
        for worker in workers:
            worker.terminate()
            worker.stdout.close()
            worker.wait()


def _read(pipe: BinaryIO, count: int) -> Faces:
    arrays = []
    for shape, dtype in _PARTS:
        wanted = count * int(np.prod(shape)) * np.dtype(dtype).itemsize
        data = pipe.read(wanted)
        if len(data) != wanted:
            raise RuntimeError("a rendering process died; its message is above")
        arrays.append(np.frombuffer(data, dtype).reshape(count, *shape))
    return tuple(arrays)


def _work(seed: int, split: str, start: int, stop: int, turn: int, num_workers: int, chunk: int, out: BinaryIO) -> None:
    """Render every ``num_workers``-th chunk and write it to ``out``."""
    cv2.setNumThreads(1)
    for a in range(start + turn * chunk, stop, num_workers * chunk):
        for array in render_many(seed, split, range(a, min(a + chunk, stop))):
            out.write(array.tobytes())
        out.flush()


def main() -> None:
    """Entry of a worker process."""
    seed, split, *numbers = sys.argv[1:]
    try:
        _work(int(seed), split, *map(int, numbers), out=sys.stdout.buffer)
    except (BrokenPipeError, KeyboardInterrupt):  # the parent went away
        os._exit(1)
