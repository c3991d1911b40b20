"""What a resolved configuration may say: which keys there are, which role stands under each, and checking both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ofhkit import registry
from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.registry import check_arguments
from ofhkit.schema import check_values
from ofhkit.settings import SECTIONS

TOP_LEVEL = {
    "method": "the row's name in tables",
    "model": "the pipeline, part by part",
    "data": "data set, degradation, limits",
    "steps": "the curriculum",
    "evaluation": "metrics and batch size of tools/test.py",
    "load_from": "weights that the last step starts from",
    "runtime": "seed, intervals, switches of the runner",
    "custom_imports": "modules to import first (plugins)",
}
ROLE_OF_KEY = {
    "model": registry.HALLUCINATORS,
    "inpainter": registry.INPAINTERS,
    "upsampler": registry.UPSAMPLERS,
    "discriminator": registry.DISCRIMINATORS,
    "landmark_prior": registry.LANDMARK_PRIORS,
    "parser": registry.PARSERS,
    "loss": registry.LOSSES,
    "losses.*": registry.LOSSES,
    "balance": registry.LOSSES,
    "dataset": registry.DATASETS,
    "degradation": registry.DEGRADATIONS,
    "occluder": registry.OCCLUDERS,
    "steps.*": registry.STEPS,
    "metrics.*": registry.METRICS,
    "hooks.*": registry.HOOKS,
    "sections.*": registry.REPORTS,
}
OPEN = tuple(key.removesuffix(".*") for key in ROLE_OF_KEY if key.endswith(".*"))
"""Dictionaries to which anyone may add a component under a name of their own."""
_BUILT_TO_BE_CHECKED = (registry.STEPS, registry.OCCLUDERS, registry.DEGRADATIONS)  # cheap, and they know their ranges


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
    for key, settings in SECTIONS.items():
        if key in tree:
            _check_section(key, tree[key], settings, origins)
    _check_components(tree, origins, "")


def _check_section(key: str, values: Any, settings: type, origins: Mapping[str, str]) -> None:
    if not isinstance(values, Mapping):
        raise OfhkitError(f"{key} must be a dict, got {values!r}")
    for name, value in values.items():
        label = f"{key}{_set_by(origins, f'{key}.{name}')}"
        check_arguments(settings, {name: value}, label, partial=True)
        check_values(settings, {name: value}, label)


def _set_by(origins: Mapping[str, str], *keys: str) -> str:
    return next((f" ({origins[key]})" for key in keys if key in origins), "")


def _check_components(tree: Mapping, origins: Mapping[str, str], prefix: str) -> None:
    for key, value in tree.items():
        if not isinstance(value, Mapping):
            continue
        dotted = f"{prefix}{key}"
        parent = prefix.rstrip(".").rpartition(".")[2]
        role = ROLE_OF_KEY.get(f"{parent}.*", ROLE_OF_KEY.get(key))
        if role is not None:
            try:
                role.check(value)
                kind = role.get(value["type"])
                for name, given in value.items():
                    if name != "type":
                        label = f"{kind.__name__}{_set_by(origins, f'{dotted}.{name}')}"
                        check_values(kind, {name: given}, label)
                if role in _BUILT_TO_BE_CHECKED:
                    role.build(value)
            except OfhkitError as error:
                raise OfhkitError(f"{dotted}{_set_by(origins, f'{dotted}.type', dotted)}: {error}") from None
        _check_components(value, origins, dotted + ".")


def complete(tree: Mapping, key: str, parent: str = "") -> dict[str, Any]:
    """Write out the default arguments of the component at ``tree`` (found under ``key``) and of all inside it.

    What is stored and fingerprinted says all that a result depends on, whatever later versions default to.

    >>> complete(dict(type='PixelLoss'), 'loss')
    {'type': 'PixelLoss', 'weight': 1.0}
    """
    role = ROLE_OF_KEY.get(f"{parent}.*", ROLE_OF_KEY.get(key))
    done = {k: complete(v, k, key) if isinstance(v, Mapping) else v for k, v in tree.items()}
    return done if role is None else role.complete(done)
