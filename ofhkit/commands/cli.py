"""What the command-line tools share: arguments that mean the same everywhere, and errors without tracebacks."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ofhkit.errors import OfhkitError, PluginWarning, did_you_mean
from ofhkit.runtime.launchers import LAUNCHERS

_NO_ROOM = {
    errno.ENOSPC: "free some space, then give the same command again",
    errno.EDQUOT: "free some of your quota, then give the same command again",
    errno.EROFS: "name a folder that can be written",
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
    sys.stderr.write(text)


def run(main: Callable[[], int | None]) -> NoReturn:
    """Call a tool's ``main`` and exit: 0, 1 if it says so, 2 for a user's mistake, 130 for Ctrl-C."""
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    try:
        sys.exit(main() or 0)
    except OfhkitError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\nstopped; what was finished is kept, and the same command goes on from there", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(f"error: nothing can be written{where}: {error.strerror}; {_NO_ROOM[error.errno]}", file=sys.stderr)
        sys.exit(2)
