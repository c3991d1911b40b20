"""Components that other people ship: named in three ways, imported by one rule when a name is first looked up.

A plugin is an entry point, ``module`` or ``module:function``: of an installed distribution (group ``ofhkit.plugins``),
or typed, in ``--plugins``, ``OFHKIT_PLUGINS`` or a configuration's ``custom_imports``; a path is put on ``sys.path``
and becomes its module's name. Importing a plugin registers its components. One that breaks, or that was written for
another ofhkit, is left out with one warning that names it. A name that leads nowhere, and a component name given twice,
are errors.
"""

import ast
import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
import threading
import traceback
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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


class Loader:
    """What was asked for, what is loaded, what broke; this module's functions are those of the process's one."""

    def __init__(self, environment: Mapping[str, str] = os.environ):
        self.environment = environment
        self._lock, self._busy, self._started = threading.RLock(), False, False
        self._pending: list[
            tuple[metadata.EntryPoint, Path | None]
        ] = []  # the file is where a typed path's module lies
        self._seen: set[str] = set()
        self._came: list[tuple[dict[str, Any], str]] = []
        self._broken: dict[str, str] = {}
        self._distributions: dict[str, tuple[str, str]] = {"ofhkit": ("ofhkit", __version__)}  # by top-level module
        self._failure: OfhkitError | None = None

    def request(self, references: Iterable[str], folder: Path | None = None, door: str = "--plugins") -> None:
        """Ask for plugins by name; they are loaded when a registry is next looked into.

        Args:
            references: ``module``, ``module:function`` (called without arguments), a ``.py`` file, or a folder of
                modules.
            folder: what paths are relative to, and where modules are looked for too; default: the current folder.
            door: named in errors.

        Raises:
            OfhkitError: a reference leads nowhere.
        """
        for reference in references:
            self._pending += _resolve(reference.strip(), folder or Path.cwd(), door)

    def load(self) -> None:
        """Load what is installed and what was requested, once; the registries call it at every look-up.

        Raises:
            OfhkitError: two components of one role have one name (both origins are named), or a reference leads
                nowhere.
        """
        with self._lock:
            if self._busy:  # a plugin that is being imported looks something up
                return
            if self._failure is not None:
                raise OfhkitError(str(self._failure))
            self._busy = True
            try:
                if not self._started:
                    self._started = True
                    self._pending[:0] = [(entry, None) for entry in metadata.entry_points(group=GROUP)]
                    self.request(filter(None, self.environment.get(VARIABLE, "").split(",")), door=VARIABLE)
                while self._pending:
                    entry, file = self._pending.pop(0)
                    if entry.value not in self._seen:
                        self._seen.add(entry.value)
                        self._load(entry, file)
            except OfhkitError as error:
                self._failure = error
                raise
            finally:
                self._busy = False

    def _load(self, entry: metadata.EntryPoint, file: Path | None) -> None:
        label, top, self._came = entry.name, entry.module.partition(".")[0], []
        if entry.dist:
            self._distributions[top] = entry.dist.name, entry.dist.version
            label = f"{entry.dist.name} {entry.dist.version}"
        try:
            _check_version(_required(entry.dist) or _declared(entry.module))
            module = importlib.import_module(entry.module)
            here = getattr(module, "__file__", None)
            if file and (here is None or not os.path.samefile(here, file)):
                raise ImportError(f"another module {entry.module!r} is loaded from {here}; rename {file}")
            try:
                target = entry.load()
            except AttributeError:
                hint = did_you_mean(entry.attr, [n for n in vars(module) if not n.startswith("_")])
                raise (ImportError if entry.dist else _Mistake)(
                    f"plugin {label} has no {entry.attr!r}; {hint}"
                ) from None
            if inspect.isroutine(target):
                target()
        except (DuplicateNameError, _Mistake):
            raise
        except (Exception, SystemExit) as error:
            for components, name in self._came:
                if components[name].__module__.partition(".")[0] == top:
                    del components[name]
            self._broken[label] = reason = _reason(error)
            warnings.warn(PluginWarning(f"plugin {label!r} is left out: {reason}"), stacklevel=2)

    def note(self, components: dict[str, Any], name: str) -> None:
        """Remember that ``name`` was added to a registry's components: it is taken out again if its plugin breaks."""
        self._came.append((components, name))

    def broken(self) -> dict[str, str]:
        """Return the plugins that were left out: name -> reason."""
        return dict(self._broken)

    def origin(self, component: Any) -> Origin:
        """Return where a registered class or function comes from.

        >>> from ofhkit.registry import UPSAMPLERS
        >>> origin(UPSAMPLERS.get('FSRCNN')).package
        'ofhkit'
        """
        module = getattr(component, "__module__", None) or "builtins"
        try:
            source = inspect.getsourcefile(component)
        except TypeError:
            source = None
        package, version = self._distributions.get(module.partition(".")[0], (module, ""))
        return Origin(package, version, Path(source) if source else None)


def _resolve(reference: str, folder: Path, door: str) -> list[tuple[metadata.EntryPoint, Path | None]]:
    """Turn what was typed into entry points: ``module``, ``module:function``, a ``.py`` file, or a folder of either."""
    head, _, attribute = reference.rpartition(":")
    name, call = (head, f":{attribute}") if head and attribute.isidentifier() else (reference, "")
    path = Path(os.path.realpath(folder / os.path.expanduser(name)))
    if not (name.endswith(".py") or "/" in name or os.sep in name or (path.is_dir() and not _found(name))):
        places = folder, Path.cwd()
        for place in places:
            if not _found(name):
                _add_to_path(place)
        if not _found(name):
            hint = did_you_mean(name, [p.stem for place in places for p in place.glob("*.py")] + list(sys.modules))
            hint = hint if "mean" in hint else "check it"
            raise _Mistake(f"{door}: there is no module or folder {name!r}; {hint}")
        return [(metadata.EntryPoint(name, name + call, GROUP), None)]
    files = _modules_in(path)
    if not files:
        raise _Mistake(f"{door}: {path} is no Python module and no folder of modules")
    found: list[tuple[metadata.EntryPoint, Path | None]] = []
    for file in files:
        module = file.parent if file.name == "__init__.py" else file
        _add_to_path(module.parent)
        found.append((metadata.EntryPoint(module.stem, module.stem + call, GROUP), file))
    return found


def _modules_in(path: Path) -> list[Path]:
    """The file itself, the package itself, or the modules and packages of a folder (or of its ``src``)."""
    if path.is_file():
        return [path] if path.stem.isidentifier() else []
    if (path / "__init__.py").is_file():
        return [path / "__init__.py"]
    path = path / "src" if (path / "src").is_dir() else path
    modules = (m for m in pkgutil.iter_modules([str(path)]) if not m.name.startswith(("_", "test_")))
    return [
        path / m.name / "__init__.py" if m.ispkg else path / f"{m.name}.py"
        for m in modules
        if m.name not in _NO_PLUGINS
    ]


def _add_to_path(folder: Path) -> None:
    sys.path += [] if str(folder) in sys.path else [str(folder)]
    importlib.invalidate_caches()


def _found(name: str) -> bool:
    if not name.replace(".", "").isidentifier():
        return False
    try:
        spec = importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):
        return name in sys.modules
    except Exception:  # its parent package breaks: that is told when it is loaded
        return True
    return spec is not None and spec.origin is not None


def _required(distribution: metadata.Distribution | None) -> str:
    """The range of ofhkit's versions that a distribution requires; empty if it says nothing."""
    from packaging.requirements import Requirement

    for requirement in map(Requirement, (distribution.requires if distribution else None) or ()):
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
request, load, note, broken, origin = _loader.request, _loader.load, _loader.note, _loader.broken, _loader.origin
