"""A few light processes that map a function over items, in order."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import cv2

from ofhkit.errors import OfhkitError

Item, Result = TypeVar("Item"), TypeVar("Result")


def parallel(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, fork: bool = False
) -> Iterator[Result]:
    """Yield ``function(item)`` for every item, in order; at most two items a worker are under way.

    Workers are fresh processes: a fork of a process whose OpenCV has threads may hang. They end with this one, however
    it ends.

    Args:
        function: picklable, from a module that imports little.
        items: picklable.
        workers: processes; 0 = do it here.
        fork: fork on Linux, for tables that this process has made; nothing else of it may be running a thread.

    Raises:
        OfhkitError: a worker was killed.

    >>> list(parallel(abs, [-1, 2], workers=0))
    [1, 2]
    """
    if workers == 0:
        yield from map(function, items)
        return
    method = "spawn" if sys.platform != "linux" else "fork" if fork else "forkserver"
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # no thread of OpenCV's may be running at a fork
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context(method), _begin)
    under_way: deque = deque()
    try:
        for item in items:
            under_way.append(executor.submit(function, item))
            cv2.setNumThreads(threads)
            if len(under_way) > 2 * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    except BrokenProcessPool:
        raise OfhkitError(
            "a worker process was killed, perhaps for want of memory; run the same command again with fewer "
            "--workers: it goes on where it stopped"
        ) from None
    finally:
        cv2.setNumThreads(threads)
        executor.shutdown(cancel_futures=True)


def _begin() -> None:
    """Prepare a worker: one thread, Ctrl-C left to the parent, and no life after it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
