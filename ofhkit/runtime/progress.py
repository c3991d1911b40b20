"""One progress line for long jobs: a bar with ETA on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_silent = False


def silence(silent: bool) -> None:
    """Stop (or start again) everything this module prints: of several processes of a job only one speaks."""
    global _silent
    _silent = silent


def say(line: str) -> None:
    """Print a line for the person who waits; results go to standard output, this does not."""
    if not _silent:
        print(line, file=sys.stderr, flush=True)


class Progress:
    """Counts to ``total`` and says how far it is.

    On a terminal one line is redrawn; elsewhere a line is printed every ``interval`` seconds and at the end.

    Args:
        total: how many units there are.
        label: what the units are, e.g. ``'faces'``.
        done: units that an earlier run has done already (not counted in the speed).

    >>> import io; out = io.StringIO()
    >>> bar = Progress(4, 'faces', stream=out); bar.update(4); print(out.getvalue().split(',')[0])
    faces 4/4 (100 %)
    """

    def __init__(self, total: int, label: str, *, done: int = 0, stream: TextIO | None = None, interval: float = 10.0):
        self.total, self.label, self.done, self.start_done = total, label, done, done
        self.stream = stream or sys.stderr
        self.tty = self.stream.isatty()
        self.interval = 0.1 if self.tty else interval
        self.start = time.monotonic()
        self.last = self.start if not self.tty else float("-inf")

    def update(self, units: int) -> None:
        """Add finished units and print when it is time."""
        self.done += units
        now = time.monotonic()
        finished = self.done >= self.total
        if _silent or (not finished and now - self.last < self.interval):
            return
        self.last = now
        line = self._line(now - self.start)
        if self.tty:
            filled = 24 * self.done // max(self.total, 1)
            line = f"\r[{'#' * filled}{'.' * (24 - filled)}] {line}\x1b[K" + ("\n" if finished else "")
        else:
            line += "\n"
        self.stream.write(line)
        self.stream.flush()

    def close(self) -> None:
        """Leave the terminal's line when the job stops early."""
        if self.tty and self.done < self.total:
            self.stream.write("\n")

    def _line(self, seconds: float) -> str:
        rate = (self.done - self.start_done) / max(seconds, 1e-9)
        left = (self.total - self.done) / rate if rate > 0 else 0.0
        share = 100 * self.done // max(self.total, 1)
        tail = f"{clock(seconds)} taken" if self.done >= self.total else f"{clock(left)} left"
        return f"{self.label} {self.done:,}/{self.total:,} ({share} %), {rate:,.0f}/s, {tail}"


def clock(seconds: float) -> str:
    """Format seconds as minutes and seconds, from an hour on with the hours before them.

    >>> clock(75), clock(7500)
    ('1:15', '2:05:00')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
