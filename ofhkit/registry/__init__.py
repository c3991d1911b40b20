"""One registry a role, declared at the end of this module; lists, checks and reference pages follow from it.

A component's ``type`` is looked up in its role's registry only; an import path such as ``os.system`` is never
resolved, because configurations also arrive inside downloaded weight files.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine import registry as mm

from ofhkit.errors import DuplicateNameError, OfhkitError, did_you_mean
from ofhkit.registry import plugins

_PLAIN = (bool, int, float, str, tuple)


class Registry(mm.Registry):
    """MMEngine's registry with errors that name the role, the nearest valid name and the offending key.

    Args:
        name: of the role.
        places: where a configuration names its components; ``NAME`` and ``STAGE`` stand for any name.
        marks: of several places, key -> attribute or argument that only the components for this key have.
        parent: MMEngine's registry of the same kind, whose components can be named too.
        locations: modules that register the package's own components.
        inputs: batch keys that a network of this role reads.

    Raises:
        OfhkitError: unknown component ("unknown upsampler 'FSRCN'; did you mean 'FSRCNN'?"), unknown or missing
            argument, or a configuration without ``type``.
    """

    def __init__(
        self,
        name: str,
        *places: str,
        marks: Mapping[str, str] | None = None,
        parent: mm.Registry | None = None,
        locations: tuple[str, ...] = (),
        inputs: tuple[str, ...] = (),
    ):
        super().__init__(name, build_func=_build, parent=parent, scope="ofhkit", locations=list(locations))
        self.places = {_key(place): place for place in places}
        self.marks, self.inputs = marks or {}, inputs

    def import_from_location(self) -> None:
        """Import the package's own components of this role, then the plugins."""
        super().import_from_location()
        plugins.load()

    def _register_module(self, module: Any, module_name: str | list[str] | None = None, force: bool = False) -> None:
        """Register; the same place may register again (a notebook's cell, a reloaded module), another may not."""
        names = [module_name or module.__name__] if not isinstance(module_name, list) else module_name
        for name in names:
            old = self.module_dict.get(name)
            if old is not None and not force and _place(old) != _place(module):
                raise DuplicateNameError(
                    f"the {self.name} {name!r} is already registered by {plugins.origin(old)}, and now "
                    f"{plugins.origin(module)} registers one of that name; rename or uninstall one of the two"
                )
            if old is None:
                plugins.note(self.module_dict, name)
        super()._register_module(module, names, force=True)

    def get(self, key: str) -> type:
        """Return the component registered as ``key`` here or in MMEngine's registry above; an error otherwise."""
        self.import_from_location()
        registry: mm.Registry | None = self
        name = key.removeprefix("ofhkit.")
        while registry is not None:
            if name in registry.module_dict:
                return registry.module_dict[name]
            registry = registry.parent
        hint = did_you_mean(key, self.names())
        hint += "" if "mean" in hint else "; a plugin that is not installed is named with --plugins or custom_imports"
        left_out = "".join(f"; plugin {n!r} is left out: {why}" for n, why in plugins.broken().items())
        raise OfhkitError(f"unknown {self.name} {key!r}", key="type", remedy=f"{hint}{left_out}")

    def __contains__(self, key: object) -> bool:
        self.import_from_location()
        return key in self.module_dict or (self.parent is not None and key in self.parent.module_dict)

    def check(self, cfg: Mapping, key: str = "") -> None:
        """Check that ``cfg`` names a component of this role and only arguments that it takes, without building it.

        Args:
            key: under which it stands, one of ``places``; empty: any.
        """
        arguments = dict(cfg)
        if "type" not in arguments:
            raise OfhkitError(f"{self.name}: 'type' is missing; valid: {', '.join(self.names())}")
        kind = arguments.pop("type")
        if not isinstance(kind, str) and not callable(kind):
            raise OfhkitError(f"{self.name}: 'type' must be a name, got {kind!r}; valid: {', '.join(self.names())}")
        component = self.get(kind) if isinstance(kind, str) else kind
        check_arguments(
            component, arguments, f"{self.name} {getattr(component, '__name__', component)!r}", partial=True
        )
        if self.marks and key not in ("", fitting := self.key_for(component)):
            raise OfhkitError(f"{kind!r} stands at {self.places[fitting]}, and not here")

    def key_for(self, component: Any) -> str:
        """Return the key of ``places`` that a component of this role is for."""
        named, _ = parameters(component)
        unmarked = next(key for key in self.places if key not in self.marks)
        return next((k for k, mark in self.marks.items() if mark in named or hasattr(component, mark)), unmarked)

    def complete(self, cfg: Mapping) -> dict[str, Any]:
        """Return ``cfg`` with its component's plain default arguments written out, so that it says all it means."""
        component = self.get(cfg["type"])
        named, _ = parameters(component)
        defaults = {n: p.default for n, p in named.items() if isinstance(p.default, _PLAIN) and n not in cfg}
        return {**cfg, **{n: list(v) if isinstance(v, tuple) else v for n, v in defaults.items()}}

    def names(self) -> list[str]:
        """Names of this role's components, sorted (those of MMEngine's parent registry are not listed)."""
        self.import_from_location()
        return sorted(self.module_dict)


def _key(place: str) -> str:
    """The last word of a place; for a name that anyone may choose, the word before: ``losses.*``."""
    parent, key = ["", *place.split(".")][-2:]
    return f"{parent}.*" if key == "NAME" else key


def _place(component: Any) -> tuple[str, str]:
    return component.__module__, getattr(component, "__qualname__", repr(component))


def _build(cfg: Any, *, registry: Registry, default_args: Mapping | None = None, **defaults: Any) -> Any:
    """Call the component named by ``cfg['type']`` with the other keys; an object that is already built passes."""
    if not isinstance(cfg, Mapping):
        return cfg
    arguments = {**(default_args or {}), **defaults, **cfg}
    if "type" not in arguments:
        raise OfhkitError(f"{registry.name}: the configuration {dict(cfg)} has no 'type'; valid: {registry.names()}")
    kind = arguments.pop("type")
    component = registry.get(kind) if isinstance(kind, str) else kind
    check_arguments(component, arguments, f"{registry.name} {getattr(component, '__name__', component)!r}")
    return component(**arguments)


def check_arguments(
    component: Any, arguments: Mapping[str, Any], label: str, partial: bool = False, beside: tuple[str, ...] = ("type",)
) -> None:
    """Refuse keywords that ``component`` does not take and demand those it needs (not when ``partial``).

    Args:
        beside: what else may stand beside its arguments in a configuration, and be meant.

    Raises:
        OfhkitError: names the argument and the nearest valid one.
    """
    named, open_ended = parameters(component)
    if not open_ended:
        for name in arguments:
            if name not in named:
                hint = did_you_mean(name, [*named, *beside])
                raise OfhkitError(f"{label} takes no argument {name!r}", key=name, remedy=hint)
    missing = [] if partial else [n for n, p in named.items() if p.default is p.empty and n not in arguments]
    if missing:
        raise OfhkitError(f"{label} needs the argument {missing[0]!r}")


def parameters(component: Any) -> tuple[dict[str, inspect.Parameter], bool]:
    """Return the keywords that ``component`` takes, and whether it takes any others too.

    A class that passes ``**kwargs`` on takes those of its bases as well.
    """
    signatures = [inspect.signature(component)]
    if inspect.isclass(component):
        signatures += [
            inspect.signature(vars(base)["__init__"]) for base in component.__mro__[1:] if "__init__" in vars(base)
        ]
    named: dict[str, inspect.Parameter] = {}
    for signature in signatures:
        parameters = signature.parameters.values()
        for p in parameters:
            if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self":
                named.setdefault(p.name, p)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return named, False
    return named, True


INPAINTERS = Registry("inpainter", "model.inpainter", locations=("ofhkit.models.inpainters",), inputs=("lr", "mask"))
UPSAMPLERS = Registry(
    "upsampler", "model.upsampler", locations=("ofhkit.models.upsamplers",), inputs=("completed", "mask")
)
DISCRIMINATORS = Registry(
    "discriminator", "model.discriminator", locations=("ofhkit.models.discriminators",), inputs=("hr",)
)
PRIORS = Registry(
    "prior",
    "model.landmark_prior",
    "model.parser",
    marks={"parser": "num_classes"},
    locations=("ofhkit.models.landmark_priors", "ofhkit.models.parsers"),
    inputs=("hr",),
)
LOSSES = Registry("loss", "stages.STAGE.loss", "model.losses.NAME", locations=("ofhkit.models.losses",))
DATASETS = Registry(
    "dataset",
    "data.dataset",
    parent=mm.DATASETS,
    locations=("ofhkit.data.image_folder", "ofhkit.data.packed", "ofhkit.rendering", "ofhkit.restoration.photo_folder"),
)
DEGRADATIONS = Registry(
    "degradation",
    "data.degradation",
    "data.degradation.occluder",
    marks={"degradation": "forward"},
    locations=("ofhkit.data.degradation",),
)
STAGES = Registry("stage", "stages.NAME", locations=("ofhkit.training.stages", "ofhkit.training.fitted"))
METRICS = Registry("metric", "evaluation.metrics.NAME", parent=mm.METRICS, locations=("ofhkit.metrics",))
HOOKS = Registry(
    "hook",
    "stages.STAGE.hooks.NAME",
    "evaluation.sections.NAME",
    marks={"hooks.*": "after_train_iter"},
    parent=mm.HOOKS,
    locations=("ofhkit.training.hooks", "ofhkit.training.monitor"),
)
HALLUCINATORS = Registry("hallucinator", "model", locations=("ofhkit.models.pipeline",))

PIPELINE = (INPAINTERS.name, UPSAMPLERS.name)
"""The roles that inference needs."""

_NAMED = {name: value for name, value in tuple(globals().items()) if isinstance(value, Registry)}
ROLES: dict[str, Registry] = {role.name: role for role in _NAMED.values()}
__all__ = ["ROLES", "Registry", *_NAMED]
