"""What is registered: name, origin, paper, size and work of every component."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ofhkit import plugins
from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.registry import ROLES

_FACE, _TINY, _MASK = (1, 3, 128, 128), (1, 3, 16, 16), (1, 1, 16, 16)
INPUTS = {
    "inpainter": (_TINY, _MASK),
    "upsampler": (_TINY,),
    "discriminator": (_FACE,),
    "landmark_prior": (_FACE,),
    "parser": (_FACE,),
}


@dataclass(frozen=True)
class Entry:
    """One component.

    Attributes:
        reference: the paper as the module's docstring names it; where there is none, the component's first line.
        size: parameters and multiply-adds of a network with default arguments, or why it has none.
    """

    role: str
    name: str
    origin: plugins.Origin
    reference: str
    size: str

    def lines(self, width: int = 80) -> str:
        """Text that stays within ``width`` columns."""
        file = self.origin.file
        where = f"{self.origin.package} {self.origin.version}".strip()
        if file:
            where += f", {_short(file)}"
        body = [textwrap.fill(t, width, initial_indent="    ", subsequent_indent="    ")
                for t in (where, self.size, self.reference) if t]  # fmt: skip
        return "\n".join([f"  {self.name}", *body])


def _short(file: Path) -> str:
    """The path from the package's folder on."""
    root = file.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    return str(file.relative_to(root))


def catalogue(role: str | None = None) -> Iterator[Entry]:
    """List the components of a role, or of all roles; networks are built with their default arguments.

    Raises:
        OfhkitError: there is no such role.

    >>> [e.name for e in catalogue('discriminator')]
    ['FaceDiscriminator', 'URDGNDiscriminator']
    """
    if role is not None and role not in ROLES:
        raise OfhkitError(f"unknown role {role!r}; {did_you_mean(role, ROLES)}")
    for name, registry in ROLES.items():
        if role in (None, name):
            for key in registry.names():
                component = registry.get(key)
                yield Entry(name, key, plugins.origin(component), _reference(component), _size(name, component))


def _reference(component: Any) -> str:
    module = inspect.getdoc(sys.modules.get(component.__module__)) or ""
    _, found, text = module.partition("Reference:")
    if found:
        return " ".join(text.partition("\n\n")[0].split())
    return (inspect.getdoc(component) or "").partition("\n")[0]


def _size(role: str, component: Any) -> str:
    if role not in INPUTS:
        return ""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    try:
        network = component().eval()
    except TypeError:
        return "has arguments without defaults"
    count = sum(p.numel() for p in network.parameters())
    if hasattr(network, "partial_fit"):
        return f"{count:,} parameters, fitted in one pass"
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(*(torch.zeros(shape) for shape in INPUTS[role]))
    return f"{count:,} parameters, {counter.get_total_flops() / 2e9:.3f} GMACs a face"
