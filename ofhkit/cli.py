"""What the command-line tools share: arguments that mean the same everywhere, and errors without tracebacks."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from ofhkit.errors import OfhkitError, did_you_mean


class Parser(argparse.ArgumentParser):
    """An argument parser whose description keeps its lines and whose errors name the nearest option."""

    def __init__(self, description: str | None):
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)

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


def run(main: Callable[[], int | None]) -> NoReturn:
    """Call a tool's ``main`` and exit: 0, 1 if it says so, 2 for a user's mistake, 130 for Ctrl-C."""
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
