"""Is a configuration's value what its annotation says, and within the range its name promises?

Only what can be judged without building anything: scalars, sequences, unions, nested configurations. A component's
own constructor knows the rest.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from ofhkit.errors import OfhkitError

_AT_LEAST_ONE = {
    "batch_size", "channels", "checkpoint_interval", "decoder_channels", "head_channels", "hidden_channels",
    "image_size", "in_channels", "interval", "iterations", "kernel_size", "log_interval", "map_channels", "num_blocks",
    "num_classes", "num_points", "out_channels", "scale", "size", "val_images", "validations",
}  # fmt: skip
_NOT_NEGATIVE = {"after_training", "lr", "num_workers", "seed", "test_seed", "weight"}
_AT_MOST = {
    **dict.fromkeys(_AT_LEAST_ONE, 2**16),
    **dict.fromkeys(("checkpoint_interval", "interval", "iterations", "log_interval", "seed", "test_seed"), 2**32 - 1),
    **dict.fromkeys(("num_blocks", "num_workers", "scale"), 1024),
}
_NAMES = {bool: "True or False", int: "a whole number", float: "a number", str: "a string", type(None): "None"}


def check_values(component: Any, values: Mapping[str, Any], label: str) -> None:
    """Check ``values`` against the annotations of ``component``'s constructor and the ranges of common names.

    Names that the constructor does not annotate pass.

    Raises:
        OfhkitError: names the argument, its value and what it takes.

    >>> from ofhkit.config.settings import Runtime
    >>> check_values(Runtime, {'seed': 1}, 'runtime')
    """
    hints = annotations_of(component)
    for name, value in values.items():
        if name in hints and not fits(hints[name], value):
            raise OfhkitError(f"{label}: {name} must be {describe(hints[name])}, got {value!r}")
        low = 1 if name in _AT_LEAST_ONE else 0 if name in _NOT_NEGATIVE else None
        if low is not None and any(number < low for number in _numbers(value)):
            raise OfhkitError(f"{label}: {name} must be {low} or more, got {value!r}")
        if name in _AT_LEAST_ONE and value in ((), []):
            raise OfhkitError(f"{label}: {name} must not be empty")
        if name in _AT_MOST and any(number > _AT_MOST[name] for number in _numbers(value)):
            raise OfhkitError(f"{label}: {name} must be {_AT_MOST[name]} or less, got {value!r}")


def annotations_of(component: Any) -> dict[str, Any]:
    """Resolved annotations of the constructor's arguments, those of base classes included."""
    if not inspect.isclass(component):
        return _hints(component)
    merged: dict[str, Any] = {}
    for base in component.__mro__:
        if "__init__" in vars(base) and base is not object:
            merged = {**_hints(vars(base)["__init__"]), **merged}
    merged.pop("return", None)
    return merged


def _hints(function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):  # names known to type checkers only
        return {}


def fits(annotation: Any, value: Any) -> bool:
    """Whether a plain value may stand where ``annotation`` is; a nested configuration fits any class.

    >>> fits(float, 1), fits(int, 1.5), fits(int, True), fits(Sequence[int], [1, '2']), fits(int | None, None)
    (True, False, False, False, True)
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(fits(one, value) for one in arguments)
    if origin is Literal:
        return value in arguments
    if annotation in (None, type(None)):
        return value is None
    if annotation in (bool, str):
        return isinstance(value, annotation)
    if annotation in (int, float):
        return isinstance(value, int | annotation) and not isinstance(value, bool)
    if annotation is Path:
        return isinstance(value, str | Path)
    kind = origin or annotation
    if kind in (Any, object) or not inspect.isclass(kind):
        return True
    if issubclass(kind, Mapping):
        return isinstance(value, Mapping)
    if issubclass(kind, Sequence):
        return isinstance(value, list | tuple) and _items_fit(kind, arguments, value)
    return isinstance(value, kind | Mapping)


def _items_fit(kind: type, arguments: tuple, value: Sequence) -> bool:
    if kind is tuple and arguments and arguments[-1] is not Ellipsis:
        return len(value) == len(arguments) and all(map(fits, arguments, value))
    return not arguments or all(fits(arguments[0], item) for item in value)


def describe(annotation: Any) -> str:
    """
    >>> describe(int | None), describe(Sequence[int])
    ('a whole number or None', 'a list (each a whole number)')
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(one) for one in arguments)
    if origin is Literal:
        return " or ".join(repr(one) for one in arguments)
    if annotation in _NAMES:
        return _NAMES[annotation]
    kind = origin or annotation
    if inspect.isclass(kind) and issubclass(kind, Mapping):
        return "a dict"
    if inspect.isclass(kind) and issubclass(kind, Sequence):
        if kind is tuple and arguments and arguments[-1] is not Ellipsis:
            return f"a list of {len(arguments)} ({describe(arguments[0])} each)"
        return f"a list (each {describe(arguments[0])})" if arguments else "a list"
    return "a path" if annotation is Path else f"a {getattr(kind, '__name__', kind)} or its configuration"


def _numbers(value: Any) -> list:
    several = value if isinstance(value, list | tuple) else [value]
    return [v for v in several if isinstance(v, int | float) and not isinstance(v, bool)]
