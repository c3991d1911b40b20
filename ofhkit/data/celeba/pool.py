"""A few light processes that map a function over items, in order.

Not :mod:`multiprocessing`: a fork of a process whose OpenCV has threads hangs, and a spawn imports the caller's main
module, torch and all, in every worker. Here each worker is a fresh interpreter that gets pickles through a pipe; it
imports what the function needs, and it ends with the pipe, however its parent ended.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import struct
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from ofhkit.errors import OfhkitError

Item, Result = TypeVar("Item"), TypeVar("Result")


def parallel(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield ``function(item)`` for every item, in order; at most two items a worker are under way.

    Args:
        function: picklable, from a module that imports little.
        items: picklable.
        workers: processes; 0 = do it here.

    Raises:
        OfhkitError: a worker was killed.
        RuntimeError: the function failed; holds the worker's traceback.

    >>> list(parallel(abs, [-1, 2], workers=0))
    [1, 2]
    """
    if workers == 0:
        yield from map(function, items)
        return
    processes = [_Worker(function) for _ in range(workers)]
    idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
    for process in processes:
        idle.put(process)

    def call(item: Item) -> Result:
        process = idle.get()
        try:
            return process(item)
        finally:
            idle.put(process)

    threads = ThreadPoolExecutor(workers)
    under_way: deque = deque()
    try:
        for item in items:
            under_way.append(threads.submit(call, item))
            if len(under_way) > 2 * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        for process in processes:
            process.stop()
        threads.shutdown(cancel_futures=True)


class _Worker:
    """One process and the two ends of its pipes."""

    def __init__(self, function: Callable):
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ofhkit.data.celeba.pool"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.function = function

    def __call__(self, item: Any) -> Any:
        try:
            if self.function is not None:
                send(self.process.stdin, self.function)
                self.function = None
            send(self.process.stdin, item)
            good, result = receive(self.process.stdout)
        except (EOFError, OSError):
            raise OfhkitError(
                "a worker process was killed, perhaps for want of memory; run the same command again with fewer "
                "--workers: it goes on where it stopped"
            ) from None
        if not good:
            raise RuntimeError(f"a worker failed:\n{result}")
        return result

    def stop(self) -> None:
        """End the process, whatever it is at."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        with contextlib.suppress(OSError):  # what it was being sent has nobody to go to
            self.process.stdin.close()


def send(pipe: BinaryIO, value: Any) -> None:
    """Write a value behind its length."""
    data = pickle.dumps(value, protocol=5)
    pipe.write(struct.pack("<Q", len(data)))
    pipe.write(data)
    pipe.flush()


def receive(pipe: BinaryIO) -> Any:
    """Read a value; ``EOFError`` where the other side is gone."""
    head = pipe.read(8)
    if len(head) < 8:
        raise EOFError
    data = pipe.read(struct.unpack("<Q", head)[0])
    return pickle.loads(data)


def main() -> None:
    """Serve until the pipe ends; what the function prints goes to the error stream."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    inbox, outbox = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    import cv2

    cv2.setNumThreads(1)
    try:
        function = receive(inbox)
        while True:
            item = receive(inbox)
            try:
                answer = (True, function(item))
            except Exception:
                answer = (False, traceback.format_exc())
            send(outbox, answer)
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    main()
