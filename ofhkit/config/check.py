"""What a resolved configuration may say: its keys, the role under each, and each argument's type and range.

Only what can be judged without building anything; a component's own constructor knows the rest.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from ofhkit import registry
from ofhkit.config.settings import SECTIONS
from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.registry import check_arguments

TOP_LEVEL = {
    "method": "the row's name in tables",
    "model": "the pipeline, part by part",
    "data": "data set, degradation, limits",
    "stages": "the curriculum",
    "evaluation": "metrics and batch size of ofhkit test",
    "load_from": "weights that the last stage starts from",
    "runtime": "seed, intervals, switches of the runner",
    "custom_imports": "modules to import first (plugins)",
}
ROLE_OF_KEY = {key: role for role in registry.ROLES.values() for key in role.places}
OPEN = tuple(key.removesuffix(".*") for key in ROLE_OF_KEY if key.endswith(".*"))
"""Dictionaries to which anyone may add a component under a name of their own."""
_PLAIN = (str, int, float, list)
_BUILT_TO_BE_CHECKED = (registry.STAGES, registry.DEGRADATIONS)  # cheap, and they know their ranges


def role_of(dotted: str) -> registry.Registry | None:
    """The role that stands at a dotted key; None where there is none.

    >>> role_of('stages.upsampler').name, role_of('model.upsampler').name, role_of('data')
    ('stage', 'upsampler', None)
    """
    return ROLE_OF_KEY.get(_key(dotted))


def _key(dotted: str) -> str:
    parent, key = ["", *dotted.split(".")][-2:]
    return f"{parent}.*" if f"{parent}.*" in ROLE_OF_KEY else key


def check(tree: Mapping, origins: Mapping[str, str] | None = None) -> None:
    """Check every key, component, argument name, type and simple range of a resolved configuration.

    Raises:
        OfhkitError: names the key, the file that set it, and the nearest valid name or what the value must be.
    """
    origins = origins or {}
    for key in tree:
        if key not in TOP_LEVEL:
            where = f" ({origins[key]})" if key in origins else ""
            raise OfhkitError(f"unknown configuration key {key!r}{where}; {did_you_mean(key, TOP_LEVEL)}")
    if not isinstance(tree.get("method", ""), str):
        raise OfhkitError(f"method{_set_by(origins, 'method')} must be a string, got {tree['method']!r}")
    if "stages" in tree and tree["stages"] is None:
        raise OfhkitError(f"stages{_set_by(origins, 'stages')} must be a dict of components, got None")
    for key, settings in SECTIONS.items():
        if key in tree:
            _check_section(key, tree[key], settings, origins)
    _check_components(tree, origins, "")
    for key, settings in SECTIONS.items():
        needed = [field.name for field in fields(settings) if field.default is field.default_factory is MISSING]
        if missing := [name for name in needed if key in tree and name not in tree[key]]:
            raise OfhkitError(f"{key}.{missing[0]} is missing: add it to the configuration's {key}=dict(…)")


def _check_section(key: str, values: Any, settings: type, origins: Mapping[str, str]) -> None:
    if not isinstance(values, Mapping):
        raise OfhkitError(f"{key} must be a dict, got {values!r}")
    for name, value in values.items():
        label = f"{key}{_set_by(origins, f'{key}.{name}')}"
        check_arguments(settings, {name: value}, label, partial=True, beside=())
        check_values(settings, {name: value}, label)


def _set_by(origins: Mapping[str, str], *keys: str) -> str:
    return next((f" ({origins[key]})" for key in keys if key in origins), "")


def _check_components(tree: Mapping, origins: Mapping[str, str], prefix: str) -> None:
    for key, value in tree.items():
        dotted = f"{prefix}{key}"
        role = role_of(dotted)
        if isinstance(value, _PLAIN) and (role is not None or key in OPEN):
            holds = "of its own 'type'" if role is not None else "of components"
            raise OfhkitError(f"{dotted}{_set_by(origins, dotted)} must be a dict {holds}, got {value!r}")
        if not isinstance(value, Mapping):
            continue
        if role is not None and not _parts_alone(dotted, value):
            try:
                role.check(value, _key(dotted))
                kind = role.get(value["type"])
                for name, given in value.items():
                    if name != "type":
                        check_values(kind, {name: given}, kind.__name__)
                if role in _BUILT_TO_BE_CHECKED:
                    role.build(value)
            except OfhkitError as error:
                where = _set_by(origins, *_candidates(origins, dotted, error.key))
                raise OfhkitError(f"{dotted}{where}: {error}", key=error.key) from None
        _check_components(value, origins, dotted + ".")


def _parts_alone(dotted: str, value: Mapping) -> bool:
    """Whether ``model`` holds networks that are trained alone, and no pipeline that needs a type."""
    return dotted == "model" and not {"type", *registry.PIPELINE} & set(value)


def _candidates(origins: Mapping[str, str], dotted: str, key: str) -> list[str]:
    """Dotted keys that an error in the component at ``dotted`` may be about, the likeliest first."""
    inside = [name for name in origins if name.startswith(f"{dotted}.") and name.endswith(f".{key}")]
    return [f"{dotted}.{key}", *(inside if key else ()), f"{dotted}.type", dotted]


def complete(tree: Mapping, key: str, parent: str = "") -> dict[str, Any]:
    """Write out the default arguments of the component at ``tree`` (found under ``key``) and of all inside it.

    What is stored and fingerprinted says all that a result depends on, whatever later versions default to.

    >>> complete(dict(type='PixelLoss'), 'loss')
    {'type': 'PixelLoss', 'weight': 1.0}
    """
    role = role_of(f"{parent}.{key}")
    done = {k: complete(v, k, key) if isinstance(v, Mapping) else v for k, v in tree.items()}
    return done if role is None or _parts_alone(key, tree) else role.complete(done)


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
            raise OfhkitError(f"{label}: {name} must be {describe(hints[name])}, got {value!r}", key=name)
        low = 1 if name in _AT_LEAST_ONE else 0 if name in _NOT_NEGATIVE else None
        if low is not None and any(number < low for number in _numbers(value)):
            raise OfhkitError(f"{label}: {name} must be {low} or more, got {value!r}", key=name)
        if name in _AT_LEAST_ONE and value in ((), []):
            raise OfhkitError(f"{label}: {name} must not be empty", key=name)
        if name in _AT_MOST and any(number > _AT_MOST[name] for number in _numbers(value)):
            raise OfhkitError(f"{label}: {name} must be {_AT_MOST[name]} or less, got {value!r}", key=name)


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
