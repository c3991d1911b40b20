"""What a resolved configuration may say: which keys there are, which role stands under each, and checking both."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from ofhkit import registry
from ofhkit.config.schema import check_values
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
                culprit = _meant(str(error), value, dotted)
                raise OfhkitError(f"{dotted}{_set_by(origins, culprit, f'{dotted}.type', dotted)}: {error}") from None
        _check_components(value, origins, dotted + ".")


def _parts_alone(dotted: str, value: Mapping) -> bool:
    """Whether ``model`` holds networks that are trained alone, and no pipeline that needs a type."""
    return dotted == "model" and not {"type", *registry.PIPELINE} & set(value)


def _meant(message: str, value: Mapping, dotted: str) -> str:
    """Of the keys in a component's configuration, the one that a complaint about it names, best by its own name."""
    complaint = message.partition("; ")[0]  # what follows is advice
    return max(_named(complaint, value, dotted), default=(0, dotted))[1]


def _named(complaint: str, value: Mapping, dotted: str) -> Iterator[tuple[int, str]]:
    for key, given in value.items():
        inside = f"{dotted}.{key}"
        if isinstance(given, Mapping):
            yield from _named(complaint, given, inside)
        if repr(key) in complaint:
            yield 3, inside
        elif re.search(rf"\b{re.escape(str(key))}\b", complaint) and repr(given) in complaint:
            yield 2, inside
        elif key == "type" and re.search(rf"unknown \w+ {re.escape(repr(given))}", complaint):
            yield 1, inside


def complete(tree: Mapping, key: str, parent: str = "") -> dict[str, Any]:
    """Write out the default arguments of the component at ``tree`` (found under ``key``) and of all inside it.

    What is stored and fingerprinted says all that a result depends on, whatever later versions default to.

    >>> complete(dict(type='PixelLoss'), 'loss')
    {'type': 'PixelLoss', 'weight': 1.0}
    """
    role = role_of(f"{parent}.{key}")
    done = {k: complete(v, k, key) if isinstance(v, Mapping) else v for k, v in tree.items()}
    return done if role is None or _parts_alone(key, tree) else role.complete(done)
