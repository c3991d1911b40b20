"""Configuration files: read and merged, checked, shown."""

from ofhkit.config.load import from_json, load_config, override, parse_options, to_json

__all__ = ["from_json", "load_config", "override", "parse_options", "to_json"]
