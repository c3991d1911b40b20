"""Memory that a training step on a CPU gives back and asks for again, hundreds of times."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # parameters of glibc's mallopt


def set_malloc_policy() -> bool:
    """Tell the C library to keep freed memory, so that large activations are not mapped anew in every step.

    glibc maps every block above 32 MB on its own and gives it back when it is freed; the next allocation then pays
    one page fault for each of its pages. Afterwards freed blocks are reused instead; the process holds on to its peak.
    Values do not change.

    Returns:
        Whether the C library understood (glibc does; elsewhere nothing happens).

    >>> set_malloc_policy() in (True, False)
    True
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, 2**31 - 1))
