"""What an export needs on this machine, or one sentence that says what to install."""

from __future__ import annotations

import importlib.util
import os
import shutil

from ofhkit.errors import OfhkitError


def need(*packages: str) -> None:
    """Check that packages can be imported.

    Raises:
        OfhkitError: names the first that is missing, and the remedy.

    >>> need('json')
    """
    for name in packages:
        if importlib.util.find_spec(name) is None:
            raise OfhkitError(f"this needs the package {name}, which is missing: pip install 'ofhkit[export]'")


def need_compiler() -> None:
    """Check that there is a C++ compiler, which AOTInductor calls.

    Raises:
        OfhkitError: there is none; names the remedies.
    """
    if not any(shutil.which(name) for name in (os.environ.get("CXX"), "g++", "clang++") if name):
        raise OfhkitError("--format aot compiles C++ and finds no g++ or clang++: install one, or use --format torch")
