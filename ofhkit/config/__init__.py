"""Configuration files: read and merged, checked, shown."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ofhkit.config.load import from_json, load_config, override, parse_options, to_json

__all__ = ["from_json", "load_config", "override", "parse_options", "to_json"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # who only checks what a file says of itself needs no reader of configurations
        return getattr(importlib.import_module("ofhkit.config.load"), name)
    raise AttributeError(f"module 'ofhkit.config' has no attribute {name!r}")
