"""The command ``ofhkit``: one module a subcommand; ``python tools/NAME.py`` in a checkout is the same."""

import re
import sys
from importlib import import_module
from typing import Any, NoReturn

from ofhkit.commands.options import run
from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.runtime.version import __version__

COMMANDS = ("train", "test", "infer", "demo", "prepare", "list", "export", "doctor", "config", "new-plugin")


def main(command: str | None = None, *arguments: str) -> NoReturn:
    """Run a subcommand and exit.

    Args:
        command: one of ``COMMANDS``; None takes it from the command line.
        arguments: put before those of the command line.
    """
    if command is None:
        run(_pick)
    sys.argv[1:1] = arguments
    run(_module(command).main)


def _pick() -> int | None:
    command, *rest = sys.argv[1:] or ["--help"]
    if command in ("-h", "--help"):
        print(_help())
        return None
    if command in ("-V", "--version"):
        print(f"ofhkit {__version__}")
        return None
    if command not in COMMANDS:
        raise OfhkitError(f"no command {command!r}; {did_you_mean(command, COMMANDS)}")
    sys.argv[:] = [f"ofhkit {command}", *rest]
    return _module(command).main()


def _module(command: str) -> Any:
    return import_module(f"ofhkit.commands.cli.{command.replace('-', '_')}")


def _help() -> str:
    lines = [f"  {name:<12}{re.split('[:,.]', _module(name).__doc__)[0]}" for name in COMMANDS]
    return "\n".join(["usage: ofhkit COMMAND …", "", *lines, "", "ofhkit COMMAND --help tells more."])
