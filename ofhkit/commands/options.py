"""What the command-line tools share: arguments that mean the same everywhere, and errors without tracebacks."""

import argparse
import errno
import io
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ofhkit.errors import OfhkitError, PluginWarning, did_you_mean, printable
from ofhkit.runtime.launchers import LAUNCHERS

_WRITING, _PATH = "nothing can be written", "this path cannot be used"
_SYSTEM = {  # what went wrong, and the remedy
    errno.ENOSPC: (_WRITING, "free some space, then give the same command again"),
    errno.EDQUOT: (_WRITING, "free some of your quota, then give the same command again"),
    errno.EFBIG: (_WRITING, "raise the limit of a file's size, or name another disk"),
    errno.EROFS: (_WRITING, "name a folder that can be written"),
    errno.EIO: ("the disk failed", "name another disk"),
    errno.EACCES: (_PATH, "name one that you may read and write, or change its permissions"),
    errno.EPERM: (_PATH, "name one that you may read and write, or change its permissions"),
    errno.ENOENT: (_PATH, "check its name"),
    errno.ENOTDIR: (_PATH, "a part of it is a file: name a folder there"),
    errno.EISDIR: (_PATH, "name a file, not a folder"),
    errno.EEXIST: (_PATH, "name another, or move what is there"),
    errno.ENOTEMPTY: (_PATH, "name another, or move what is there"),
    errno.ENAMETOOLONG: (_PATH, "shorten the name"),
    errno.ELOOP: (_PATH, "its symbolic links go in circles: fix them"),
    errno.ENXIO: (_PATH, "name a regular file"),
    errno.EMFILE: ("too many files are open", "raise the limit (ulimit -n), or use fewer --workers"),
}


class Parser(argparse.ArgumentParser):
    """An argument parser whose description keeps its lines and whose errors name the nearest option.

    Every tool takes ``--plugins``.
    """

    def __init__(self, description: str | None):
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.add_argument(
            "--plugins", action="append", default=[], metavar="MODULE[:FUNCTION]",
            help="load components from a module, file or folder that is not installed (repeatable)",
        )  # fmt: skip

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        namespace, rest = super().parse_known_args(args, namespace)
        if namespace.plugins:
            from ofhkit.registry import plugins  # and with it MMEngine

            plugins.request(reference for text in namespace.plugins for reference in text.split(","))
        del namespace.plugins  # what is left is the tool's own
        return namespace, rest

    def error(self, message: str) -> NoReturn:
        prefix = "unrecognized arguments: "
        if message.startswith(prefix):
            given = message.removeprefix(prefix).split()[0]
            message += f"; {did_you_mean(given, [o for a in self._actions for o in a.option_strings if o[:2] == '--'])}"
        self.exit(2, f"error: {message}\n{self.format_usage()}")


def whole(low: int, high: int = 2**31 - 1) -> Callable[[str], int]:
    """Return what an option's ``type`` may be: a whole number from ``low`` to ``high``.

    >>> whole(0)('7')
    7
    """

    def number(text: str) -> int:
        if len(text) > 20 or not text.removeprefix("-").isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text:.40} is no whole number from {low} to {high}")
        return int(text)

    return number


def factor(text: str) -> float:
    """A positive number, as ``--budget`` takes it.

    >>> factor('0.01')
    0.01
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1e6:
        raise argparse.ArgumentTypeError(f"{text:.40} is no positive number of at most 1,000,000")
    return number


def common(parser: argparse.ArgumentParser) -> None:
    """Add what train, test and their relatives all take."""
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs"), metavar="DIR", help="root of all runs")
    parser.add_argument(
        "--data-root", type=Path, metavar="DIR", help="a prepared pack, or a CelebA folder, which is then prepared once"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument(
        "--cfg-options", nargs="+", action="extend", metavar="KEY=VALUE", help="override configuration values"
    )


def launcher(parser: argparse.ArgumentParser) -> None:
    """Add ``--launcher``, for tools that several processes can share."""
    parser.add_argument(
        "--launcher",
        choices=LAUNCHERS,
        default="none",
        help="what started this as one of several processes",
    )


def _show_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: Any) -> None:
    """One line for what concerns the user; Python's own form, with the source line, for everything else."""
    ours = issubclass(category, PluginWarning)
    text = f"warning: {message}\n" if ours else warnings.formatwarning(message, category, filename, lineno)
    sys.stderr.write(printable(text))


def _terminate(*_: object) -> None:
    """SIGTERM: the process ends as after Ctrl-C, with another exit status."""
    raise KeyboardInterrupt(143)


def run(main: Callable[[], int | None]) -> NoReturn:
    """Call a tool's ``main`` and exit: 0, 1 if it says so, 2 for a user's mistake, 130 for Ctrl-C, 143 for SIGTERM."""
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name may hold what is no text
    try:
        sys.exit(main() or 0)
    except OfhkitError as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stopped:
        print("\nstopped; what was finished is kept, and the same command goes on from there", file=sys.stderr)
        sys.exit(*stopped.args or (130,))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if error.errno not in _SYSTEM:
            raise
        what, remedy = _SYSTEM[error.errno]
        where = f" ({error.filename})" if error.filename else ""
        print(printable(f"error: {what}{where}: {error.strerror}; {remedy}"), file=sys.stderr)
        sys.exit(2)
