"""Configurations for people: all values with their origins, what two of them differ in, what is wrong with them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ofhkit.config import load_config
from ofhkit.config.load import Origins, load_with_origins
from ofhkit.errors import OfhkitError, did_you_mean


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value, in order; an empty dictionary is a value.

    >>> flatten({'a': {'b': 1, 'c': {}}})
    {'a.b': 1, 'a.c': {}}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def show(path: Path, options: Mapping[str, Any] | None = None, only: str = "") -> str:
    """One line a value: ``key = value  # file``.

    Raises:
        OfhkitError: the configuration is wrong, or has nothing under ``only``.
    """
    config, origins = load_with_origins(path, options)
    flat = flatten(config.to_dict())
    rows = {key: value for key, value in flat.items() if not only or key == only or key.startswith(f"{only}.")}
    if not rows:
        prefixes = {".".join(key.split(".")[:n]) for key in flat for n in range(1, key.count(".") + 2)}
        raise OfhkitError(f"{path} has nothing under {only!r}; {did_you_mean(only, prefixes)}")
    left = [f"{key} = {value!r}" for key, value in rows.items()]
    width = min(max(map(len, left)), 72)
    return "\n".join(f"{text:<{width}}  # {_origin(origins, key)}" for text, key in zip(left, rows))


def _origin(origins: Origins, key: str) -> str:
    while key not in origins and "." in key:
        key = key.rpartition(".")[0]
    return origins.get(key, "?")


def diff(first: Path, second: Path, options: Mapping[str, Any] | None = None) -> str:
    """The values that differ, ``-`` of the first and ``+`` of the second; empty where nothing does."""
    a, b = (flatten(load_config(path, options).to_dict()) for path in (first, second))
    lines = []
    for key in dict.fromkeys([*a, *b]):
        if key not in a or key not in b or a[key] != b[key]:
            lines += [f"- {key} = {a[key]!r}"] if key in a else []
            lines += [f"+ {key} = {b[key]!r}"] if key in b else []
    return "\n".join(lines)


def lint(paths: Sequence[Path], options: Mapping[str, Any] | None = None) -> dict[Path, str | None]:
    """Path -> what is wrong with it, or None."""
    found: dict[Path, str | None] = {}
    for path in paths:
        try:
            load_config(path, options)
            found[path] = None
        except OfhkitError as error:
            found[path] = str(error)
    return found
