"""Configuration files: Python text with ``_base_``, merged by one rule, checked before anything runs.

The rule: dictionaries are merged key by key, except that a dictionary whose ``type`` changes is replaced (the old
component's arguments mean nothing to the new one). ``_delete_=True`` replaces too. Everything else is replaced.
"""

from __future__ import annotations

import ast
import copy
import inspect
import json
import runpy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine import Config

from ofhkit.config.check import OPEN, ROLE_OF_KEY, check, role_of
from ofhkit.config.find import existing, find_config
from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.registry import parameters, plugins

Origins = dict[str, str]


def load_config(path: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Read a configuration file with its bases, apply ``options``, and check every name in it.

    Args:
        path: a ``.py`` file of assignments, or the name of one that ships (``ofhnet_synthetic``); ``_base_`` names one
            or several in the same way, relative to the file.
        options: dotted keys to values, as of ``--cfg-options``.

    Raises:
        OfhkitError: no such file, a syntax error, an unknown key or component, an argument it does not take.
    """
    return load_with_origins(path, options)[0]


def load_with_origins(path: str | Path, options: Mapping[str, Any] | None = None) -> tuple[Config, Origins]:
    """Like :func:`load_config`; also returns, for every dotted key, the file (or option) that set it."""
    path = find_config(path)
    tree, origins = _read(path, chain=())
    imports = tree.get("custom_imports", [])
    _apply(tree, options, origins)
    tree = _as_lists(tree)
    if "custom_imports" in tree:
        tree["custom_imports"] = _import_list([*imports, *_import_list(tree["custom_imports"], Path.cwd())], Path.cwd())
        plugins.request(tree["custom_imports"], path.parent, f"{path}: custom_imports")
    check(tree, origins)
    return Config(tree, filename=str(path)), origins


def request_custom_imports(paths: Iterable[str | Path]) -> None:
    """Ask for the plugins that configuration files and their bases name, without checking anything else in them."""
    for path in map(find_config, paths):
        if path.is_file():
            plugins.request(_read(path, ())[0].get("custom_imports", ()), path.parent, f"{path}: custom_imports")


def override(config: Config, options: Mapping[str, Any] | None) -> None:
    """Apply dotted keys to a stored configuration, checked like those of a file.

    Raises:
        OfhkitError: as :func:`load_config`.
    """
    tree = config.to_dict()
    _apply(tree, options, {})
    check(tree)
    for key, value in tree.items():
        config[key] = value


def _apply(tree: dict, options: Mapping[str, Any] | None, origins: Origins) -> None:
    for key, value in sorted((options or {}).items(), key=lambda item: not item[0].endswith(".type")):
        _check_option(tree, key)
        _merge(tree, _nest(key, value), origins, "--cfg-options", "")


def _import_list(value: Any, folder: Path) -> list[str]:
    """References as a list without repeats; paths become absolute. MMEngine's ``dict(imports=[...])`` is understood."""
    value = value.get("imports", []) if isinstance(value, Mapping) else value
    names = [value] if isinstance(value, str) else value or []
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise OfhkitError(f"custom_imports is a list of modules, files or folders, got {value!r}")
    beside = {n: (folder / n).resolve() for n in names if "/" in n or n.endswith(".py")}
    beside |= {n: (folder / f"{n}.py").resolve() for n in names if (folder / f"{n}.py").is_file()}
    return list(dict.fromkeys(str(beside.get(name, name)) for name in names))


def parse_option(text: str) -> tuple[str, Any]:
    """Split ``key=value``; the value is a Python literal, a comma-separated list of such, or a string.

    >>> parse_option('model.upsampler.channels=64,64,64')
    ('model.upsampler.channels', [64, 64, 64])

    Raises:
        OfhkitError: there is no ``=``.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise OfhkitError(f"--cfg-options takes key=value, got {text!r}")
    return key.strip(), _literal(value.strip())


def _literal(text: str) -> Any:
    if text.lower() in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[text.lower()]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return [_literal(part) for part in text.split(",")] if "," in text else text
    return list(value) if isinstance(value, tuple) else value


def _read(path: Path, chain: tuple[Path, ...]) -> tuple[dict, Origins]:
    path = existing(path)
    if path in chain:
        raise OfhkitError(f"{path}: _base_ refers back to itself through {' -> '.join(p.name for p in chain)}")
    try:
        names = runpy.run_path(str(path))
    except Exception as error:
        raise OfhkitError(f"{path}: cannot be read as Python: {type(error).__name__}: {error}") from error
    values = {
        k: copy.deepcopy(v) for k, v in names.items() if not (k.startswith("_") or callable(v) or inspect.ismodule(v))
    }
    bases = names.get("_base_", [])
    if not isinstance(bases, str | list | tuple) or not all(isinstance(base, str) for base in bases):
        raise OfhkitError(f"{path}: _base_ names a file or a list of files, got {bases!r}")
    tree: dict = {}
    origins: Origins = {}
    inherited: list[str] = []
    for base in [bases] if isinstance(bases, str) else bases:
        base_tree, base_origins = _read(find_config(base, path.parent), (*chain, path))
        inherited += base_tree.get("custom_imports", [])
        if inherited:
            base_tree["custom_imports"] = tree["custom_imports"] = inherited
        doubled = set(tree) & set(base_tree)
        for key in doubled:
            if not isinstance(tree[key], dict) and key != "custom_imports":
                raise OfhkitError(f"{path}: two of its _base_ files set {key!r}; set it in one of them only")
        _merge(tree, base_tree, origins, None, "")
        origins |= base_origins
    if "custom_imports" in values:
        values["custom_imports"] = inherited + _import_list(values["custom_imports"], path.parent)
    _merge(tree, values, origins, _short(path), "")
    return tree, origins


def _as_lists(value: Any) -> Any:
    """Tuples as lists, as JSON keeps them: a stored configuration equals the one it was stored from."""
    if isinstance(value, Mapping):
        return {k: _as_lists(v) for k, v in value.items()}
    return [_as_lists(v) for v in value] if isinstance(value, list | tuple) else value


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _nest(dotted: str, value: Any) -> dict:
    for part in reversed(dotted.split(".")):
        value = {part: value}
    return value


def _merge(tree: dict, new: Mapping, origins: Origins, origin: str | None, prefix: str) -> None:
    """Merge ``new`` into ``tree`` in place; ``origin`` None keeps what ``origins`` says already."""
    for key, value in new.items():
        dotted = f"{prefix}{key}"
        old = tree.get(key)
        if isinstance(value, Mapping):
            value = dict(value)
            replaces = value.pop("_delete_", False) or not isinstance(old, dict)
            replaces = replaces or ("type" in value and value["type"] != (old or {}).get("type"))
            if replaces:
                for stale in [k for k in origins if k.startswith(dotted + ".")]:
                    del origins[stale]
                tree[key] = {}
            _merge(tree[key], value, origins, origin, dotted + ".")
        else:
            tree[key] = value
        if origin is not None:
            origins[dotted] = origin


def _check_option(tree: Mapping, dotted: str) -> None:
    """Refuse a dotted key that leads through something that is not there; the last part is checked by `check`.

    What a configuration lacks may be added where a component belongs: ``model.discriminator.type``,
    ``evaluation.metrics.mine.type``.
    """
    node: Any = tree
    done: list[str] = []
    for part in dotted.split(".")[:-1]:
        absent = isinstance(node, Mapping) and part not in node
        addable = bool(done) and (done[-1] in OPEN or part in ROLE_OF_KEY or part in OPEN)
        takes = _arguments_of(".".join(done), node)
        if absent and (part in takes or (addable and dotted.endswith(".type"))):
            return
        if not isinstance(node, Mapping) or part not in node:
            where = ".".join(done) or "the configuration"
            choices = [*node, *takes] if isinstance(node, Mapping) else ()
            raise OfhkitError(f"--cfg-options {dotted}: {where} has no key {part!r}; {did_you_mean(part, choices)}")
        node = node[part] if node[part] is not None else {}
        done.append(part)


def _arguments_of(dotted: str, node: Any) -> Iterable[str]:
    """What the component at a dotted key may be told, if it is one."""
    role = role_of(dotted)
    if role is None or not isinstance(node, Mapping) or node.get("type") not in role:
        return ()
    return parameters(role.get(node["type"]))[0]


def to_json(config: Mapping) -> str:
    """Write a resolved configuration as JSON, which can be read back without executing anything."""
    plain = config.to_dict() if isinstance(config, Config) else config
    return json.dumps(plain, indent=2, sort_keys=False, default=_jsonable)


def _jsonable(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, Path):
        return str(value)
    raise OfhkitError(f"a configuration holds only plain values, not {type(value).__name__} {value!r}")


def from_json(path: Path) -> Config:
    """Read a configuration stored by :func:`to_json`.

    Raises:
        OfhkitError: the file is missing or damaged.
    """
    try:
        return Config(json.loads(Path(path).read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise OfhkitError(f"{path}: no readable stored configuration ({error})") from None


def parse_options(texts: Iterable[str] | None) -> dict[str, Any]:
    """Parse all of ``--cfg-options``."""
    return dict(parse_option(text) for text in texts or ())
