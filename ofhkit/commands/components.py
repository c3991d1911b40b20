"""What is registered: name, origin, paper, size and work of every component."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.registry import ROLES, plugins


@dataclass(frozen=True)
class Entry:
    """One component.

    Attributes:
        summary: the first paragraph of the component's docstring.
        reference: the paper as the module's docstring names it; where there is none, the summary.
        differs: what the module's docstring says after *Differs from the paper*, its punctuation included.
        size: parameters and multiply-adds of a network with default arguments, or why it has none.
    """

    role: str
    name: str
    origin: plugins.Origin
    summary: str
    reference: str
    differs: str
    size: str

    @property
    def file(self) -> str:
        """The path from the package's folder on."""
        return _short(self.origin.file) if self.origin.file else ""

    def lines(self, width: int = 80) -> str:
        """Text that stays within ``width`` columns."""
        where = f"{self.origin.package} {self.origin.version}".strip()
        if self.file:
            where += f", {self.file}"
        body = [textwrap.fill(t, width, initial_indent="    ", subsequent_indent="    ")
                for t in (where, self.size, self.reference) if t]  # fmt: skip
        return "\n".join([f"  {self.name}", *body])


def _short(file: Path) -> str:
    root = file.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    return str(file.relative_to(root))


def list_components(role: str | None = None, sizes: bool = True) -> Iterator[Entry]:
    """List the components of a role, or of all roles; for ``sizes`` networks are built with their default arguments.

    Raises:
        OfhkitError: there is no such role.

    >>> [e.name for e in list_components('discriminator')]
    ['FaceDiscriminator', 'URDGNDiscriminator']
    """
    if role is not None and role not in ROLES:
        raise OfhkitError(f"unknown role {role!r}; {did_you_mean(role, ROLES)}")
    for name, registry in ROLES.items():
        if role in (None, name):
            for key in registry.names():
                component = registry.get(key)
                size = _size(name, component) if sizes else ""
                own = inspect.getdoc(component) or ""
                reference = _passage(component, "Reference:") or own.partition("\n")[0]
                summary = " ".join(own.partition("\n\n")[0].split())
                texts = summary, reference, _passage(component, "Differs from the paper")
                yield Entry(name, key, plugins.origin(component), *texts, size)


def _passage(component: Any, start: str) -> str:
    """What the component's docstring, or else its module's, says after ``start``: to the end of a paragraph."""
    says = (inspect.getdoc(place) or "" for place in (component, sys.modules.get(component.__module__)))
    text = ""
    for paragraph in next((doc for doc in says if start in doc), "").partition(start)[2].split("\n\n"):
        text += " " + paragraph
        if text.rstrip().endswith("."):
            break
    return " ".join(text.split())


def _size(role: str, component: Any) -> str:
    if not ROLES[role].inputs:
        return ""
    from ofhkit.evaluation.scoring import network_gmacs

    try:
        network = component().eval()
    except TypeError:
        return "has arguments without defaults"
    count = sum(p.numel() for p in network.parameters())
    if hasattr(network, "partial_fit"):
        return "fitted in one pass over the training faces"
    return f"{count:,} parameters, {network_gmacs(ROLES[role], network):.3f} GMACs a face"
