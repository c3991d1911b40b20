"""What is printed while a job runs: the log's lines, and a bar with ETA on a terminal (plain lines in a file)."""

import atexit
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import rich.progress
from rich.console import Console
from rich.markup import escape

from ofhkit.errors import printable

log = logging.getLogger("ofhkit")


WIDTH = 80  # columns that a line for people keeps within
FOR_PEOPLE = {"short": True}  # marks a line of which the file of a run holds the long form


class _Lines(logging.Handler):
    """Prints the log for the person who waits, above a bar that may be drawn there; results go to standard output."""

    def emit(self, record: logging.LogRecord) -> None:
        print(printable(record.getMessage()), file=sys.stderr, flush=True)


log.setLevel(logging.DEBUG)  # what is too long for a person's line goes to the file of a run only
log.addHandler(_Lines(logging.INFO))
log.propagate = False


def log_file(path: Path) -> logging.Handler:
    """Append the log with times to a file (but not what is only for people); a full disk does not end a training."""
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError:
        return logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    handler.addFilter(lambda record: not hasattr(record, "short"))
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    return handler


def worth_opening(*paths: object) -> None:
    """Say last what to look at."""
    log.info("%s", "\n  ".join(["open:", *map(str, paths)]))


def silence(silent: bool) -> None:
    """Mute the log and the bars (or let them speak again): on all ranks of a job but 0."""
    log.disabled = silent


def in_columns(titles: Sequence[str], first: int = 12, width: int = 8) -> str:
    """Texts side by side, right-aligned, as many as fit a line; what is too long for its column is cut.

    >>> in_columns(['8/800', '0.01234', 'adversarial'], first=8)
    '   8/800  0.01234 adversa…'
    """
    fitting = titles[1 : 1 + (WIDTH - first) // (width + 1)]
    rest = [text if len(text) <= width else f"{text[: width - 1]}…" for text in fitting]
    return " ".join([f"{titles[0]:>{first}}", *(f"{text:>{width}}" for text in rest)])


class Progress:
    """Counts to ``total`` and says how far it is.

    On a terminal one line is redrawn (rich); elsewhere a line is printed every ``interval`` seconds and at the end.

    Args:
        total: how many units there are.
        label: what the units are, e.g. ``'faces'``.
        done: units that an earlier run has done already (not counted in the speed).
        later: how much longer what follows takes than all of this, where it belongs to something larger.

    >>> import io; out = io.StringIO()
    >>> bar = Progress(4, 'faces', stream=out); bar.update(4); print(out.getvalue().split(',')[0])
    faces 4/4 (100 %)
    """

    def __init__(
        self,
        total: int,
        label: str,
        *,
        done: int = 0,
        later: float = 0.0,
        stream: TextIO | None = None,
        interval: float = 10.0,
    ):
        self.total, self.label, self.done, self.start_done = total, printable(label), done, done
        self.later, self.stream, self.interval = later, stream or sys.stderr, interval
        self.start = self.last = time.monotonic()
        self.live = _live(self.stream) if self.stream.isatty() and not log.disabled else None
        if self.live is not None:
            self.live.start()
            self.task = self.live.add_task(escape(self.label), total=total, completed=done, left="")

    def update(self, units: int) -> None:
        """Add finished units and print when it is time."""
        self.done += units
        seconds, finished = time.monotonic() - self.start, self.done >= self.total
        if self.live is not None:
            self.live.update(self.task, completed=self.done, left=self._tail(seconds))
            if finished:
                self.close()
        elif not log.disabled and (finished or self.start + seconds - self.last >= self.interval):
            self.last = self.start + seconds
            share = 100 * self.done // max(self.total, 1)
            print(f"{self.label} {self.done:,}/{self.total:,} ({share} %), {self._tail(seconds)}", file=self.stream)
            self.stream.flush()

    def close(self) -> None:
        """Leave the terminal's line, also when the job stops early."""
        if self.live is not None:
            self.live.stop()

    def _tail(self, seconds: float) -> str:
        rate = (self.done - self.start_done) / max(seconds, 1e-9)
        left = (self.total - self.done) / rate if rate > 0 else 0.0
        when = f"{clock(seconds)} taken" if self.done >= self.total else f"{clock(left)} left"
        if self.later and rate > 0:
            when += f", {clock(left + self.later * self.total / rate)} left in all"
        speed = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
        return f"{speed}/s, {when}"


def _live(stream: TextIO) -> rich.progress.Progress:
    """One line that rich redraws; what others print appears above it."""
    bar = (
        rich.progress.BarColumn(10),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TextColumn("{task.fields[left]}"),
    )
    live = rich.progress.Progress("{task.description}", *bar, console=Console(file=stream))
    atexit.register(live.stop)  # a job that breaks leaves the terminal as it was
    return live


def clock(seconds: float) -> str:
    """Format seconds as minutes and seconds, from an hour on with the hours before them.

    >>> clock(75), clock(7500)
    ('1:15', '2:05:00')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
