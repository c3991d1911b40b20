"""Components that other people ship: found through three doors, loaded when a name is first looked up.

The doors: installed distributions with the entry-point group ``ofhkit.plugins``; modules or paths named on the command
line (``--plugins``) or in ``OFHKIT_PLUGINS``; ``custom_imports`` of a configuration. Importing a plugin registers its
components. One that breaks, or that was written for another ofhkit, is left out with one warning that names it. A name
that leads nowhere, and a component name given twice, are errors.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from ofhkit.errors import DuplicateNameError, OfhkitError, PluginWarning, did_you_mean
from ofhkit.runtime.version import __version__

__all__ = ["GROUP", "VARIABLE", "Origin", "PluginWarning", "broken", "load", "origin", "request"]

GROUP = "ofhkit.plugins"
VARIABLE = "OFHKIT_PLUGINS"
_NO_PLUGINS = {"setup", "conftest", "tests", "docs", "configs", "build", "dist"}  # what lies beside modules in a folder


class _Mistake(OfhkitError):
    """A reference that leads nowhere."""


@dataclass(frozen=True)
class Origin:
    """Where a component comes from."""

    package: str  # distribution, or module where it is not installed
    version: str  # empty where it is not installed
    file: Path | None

    def __str__(self) -> str:
        return f"{self.package} {self.version}".strip() + (f" ({self.file})" if self.file else "")


@dataclass(frozen=True)
class _Plugin:
    """One module to import, and a function in it to call."""

    label: str
    module: str
    attribute: str = ""
    requires: str = ""  # range of ofhkit's versions
    file: Path | None = None  # where the module must lie
    named: bool = False  # typed by someone: a missing attribute is a mistake


@dataclass
class Loader:
    """What was asked for, what is loaded, what broke. The functions of this module use the one of the process."""

    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    broken: dict[str, str] = field(default_factory=dict)
    distributions: dict[str, tuple[str, str]] = field(default_factory=dict)  # top-level module -> name, version

    def __post_init__(self) -> None:
        self._lock, self._busy, self._started = threading.RLock(), False, False
        self._pending: list[_Plugin] = []
        self._seen: set[tuple[str, str]] = set()
        self._came: list[tuple[dict[str, Any], str]] = []
        self._failure: OfhkitError | None = None

    def request(self, references: Iterable[str], folder: Path | None = None, door: str = "--plugins") -> None:
        for reference in references:
            self._pending += _resolve(reference.strip(), folder or Path.cwd(), door)

    def load(self) -> None:
        with self._lock:
            if self._busy:  # a plugin that is being imported looks something up
                return
            if self._failure is not None:
                raise OfhkitError(str(self._failure))
            self._busy = True
            try:
                if not self._started:
                    self._started = True
                    self._pending[:0] = self._installed()
                    self.request(filter(None, self.environment.get(VARIABLE, "").split(",")), door=VARIABLE)
                while self._pending:
                    plugin = self._pending.pop(0)
                    if (plugin.module, plugin.attribute) not in self._seen:
                        self._seen.add((plugin.module, plugin.attribute))
                        self._load(plugin)
            except OfhkitError as error:
                self._failure = error
                raise
            finally:
                self._busy = False

    def _installed(self) -> list[_Plugin]:
        found = []
        for point in metadata.entry_points(group=GROUP):
            name, version = (point.dist.name, point.dist.version) if point.dist else (point.name, "")
            self.distributions[point.module.partition(".")[0]] = (name, version)
            found.append(_Plugin(f"{name} {version}".strip(), point.module, point.attr or "", _range(point.dist)))
        return found

    def _load(self, plugin: _Plugin) -> None:
        self._came = []
        try:
            _check_version(plugin.requires or _declared(plugin.module))
            module = importlib.import_module(plugin.module)
            here = getattr(module, "__file__", None)
            if plugin.file and (here is None or not os.path.samefile(here, plugin.file)):
                raise ImportError(f"another module {plugin.module!r} is loaded from {here}; rename {plugin.file}")
            if plugin.attribute:
                _call(plugin, module)
        except (DuplicateNameError, _Mistake):
            raise
        except (Exception, SystemExit) as error:
            self._forget_what_came(plugin.module.partition(".")[0])
            self.broken[plugin.label] = reason = _reason(error)
            warnings.warn(PluginWarning(f"plugin {plugin.label!r} is left out: {reason}"), stacklevel=2)

    def note(self, components: dict[str, Any], name: str) -> None:
        """Remember that ``name`` was added to a registry's components, in case its plugin breaks."""
        self._came.append((components, name))

    def _forget_what_came(self, top: str) -> None:
        for components, name in self._came:
            if components[name].__module__.partition(".")[0] == top:
                del components[name]

    def origin(self, component: Any) -> Origin:
        module = getattr(component, "__module__", None) or "builtins"
        top = module.partition(".")[0]
        try:
            source = inspect.getsourcefile(component)
        except TypeError:
            source = None
        name, version = self.distributions.get(top, ("ofhkit", __version__) if top == "ofhkit" else (module, ""))
        return Origin(name, version, Path(source) if source else None)


def _resolve(reference: str, folder: Path, door: str) -> list[_Plugin]:
    """Turn what was typed into modules: ``module``, ``module:function``, a ``.py`` file, or a folder of either."""
    head, _, attribute = reference.rpartition(":")
    name, attribute = (head, attribute) if head and attribute.isidentifier() else (reference, "")
    path = (folder / Path(name).expanduser()).resolve()
    if name.endswith(".py") or "/" in name or os.sep in name or (path.is_dir() and not _found(name)):
        files = _modules_in(path)
        if not files:
            raise _Mistake(f"{door}: {path} is no Python module and no folder of modules")
        for file in files:
            _add_to_path(file.parent.parent if file.name == "__init__.py" else file.parent)
        stems = [file.parent.name if file.name == "__init__.py" else file.stem for file in files]
        return [_Plugin(stem, stem, attribute, file=file, named=True) for stem, file in zip(stems, files)]
    for place in (folder, Path.cwd()):
        top = place / name.partition(".")[0]
        if not _found(name) and (top.with_suffix(".py").is_file() or top.is_dir()):
            _add_to_path(place)
    if not _found(name):
        near = [p.stem for place in (folder, Path.cwd()) for p in place.glob("*.py")] + list(sys.modules)
        hint = did_you_mean(name, near)
        raise _Mistake(f"{door}: there is no module or folder {name!r}; " + (hint if "mean" in hint else "check it"))
    return [_Plugin(name, name, attribute, named=True)]


def _modules_in(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.stem.isidentifier() else []
    if (path / "__init__.py").is_file():
        return [path / "__init__.py"]
    path = path / "src" if (path / "src").is_dir() else path
    stems = {file: file.stem for file in path.glob("*.py")} | {
        file: file.parent.name for file in path.glob("*/__init__.py")
    }
    unwanted = ("_", "test_")
    wanted = {s for s in stems.values() if s.isidentifier() and s not in _NO_PLUGINS and not s.startswith(unwanted)}
    return sorted(file for file, stem in stems.items() if stem in wanted)


def _add_to_path(folder: Path) -> None:
    sys.path += [] if str(folder) in sys.path else [str(folder)]
    importlib.invalidate_caches()


def _found(name: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):
        return name in sys.modules
    except Exception:  # its parent package breaks: that is told when it is loaded
        return True
    return spec is not None and spec.origin is not None


def _call(plugin: _Plugin, module: Any) -> None:
    target = module
    for part in plugin.attribute.split("."):
        if not hasattr(target, part):
            hint = did_you_mean(part, [n for n in vars(target) if not n.startswith("_")])
            raise (_Mistake if plugin.named else ImportError)(f"plugin {plugin.label} has no {part!r}; {hint}")
        target = getattr(target, part)
    if inspect.isroutine(target):
        target()


def _range(distribution: metadata.Distribution | None) -> str:
    """The range of ofhkit's versions that a distribution requires; empty if it says nothing."""
    from packaging.requirements import Requirement

    for text in (distribution.requires if distribution else None) or ():
        requirement = Requirement(text)
        if requirement.name.lower() == "ofhkit" and (not requirement.marker or requirement.marker.evaluate()):
            return str(requirement.specifier)
    return ""


def _declared(module: str) -> str:
    """The literal ``OFHKIT_REQUIRES = '>=0.1,<0.2'`` of a module that is not imported yet; empty if there is none."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return ""
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8"), spec.origin).body:
        if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "OFHKIT_REQUIRES" for t in node.targets):
            return str(ast.literal_eval(node.value))
    return ""


def _check_version(requires: str) -> None:
    from packaging.specifiers import SpecifierSet

    if not SpecifierSet(requires).contains(__version__, prereleases=True):
        raise ImportError(f"it works with ofhkit {requires}, and this is {__version__}")


def _reason(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f" ({where.filename}, line {where.lineno})" if where.filename != __file__ else ""
    return f"{type(error).__name__}: {error}{'' if isinstance(error, SyntaxError) else place}"


_loader = Loader()


def request(references: Iterable[str], folder: Path | None = None, door: str = "--plugins") -> None:
    """Ask for plugins by name; they are loaded when a registry is next looked into.

    Args:
        references: ``module``, ``module:function`` (called without arguments), a ``.py`` file, or a folder of modules.
        folder: what paths are relative to, and where modules are looked for too; default: the current folder.
        door: named in errors.

    Raises:
        OfhkitError: a reference leads nowhere.
    """
    _loader.request(references, folder, door)


def load() -> None:
    """Load what is installed and what was requested, once; the registries call it at every look-up.

    Raises:
        OfhkitError: two components of one role have one name (both origins are named), or a reference leads nowhere.
    """
    _loader.load()


def note(components: dict[str, Any], name: str) -> None:
    """Tell the loader what a registry takes in: it is taken out again if its plugin breaks."""
    _loader.note(components, name)


def broken() -> dict[str, str]:
    """Return the plugins that were left out: name -> reason."""
    return dict(_loader.broken)


def origin(component: Any) -> Origin:
    """Return where a registered class or function comes from.

    >>> from ofhkit.registry import UPSAMPLERS
    >>> origin(UPSAMPLERS.get('FSRCNN')).package
    'ofhkit'
    """
    return _loader.origin(component)
