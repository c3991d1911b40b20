"""Where scalars go: MMEngine's visualizer backends, those of them that are installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

from ofhkit.errors import OfhkitError, did_you_mean

_BACKENDS = {"tensorboard": "TensorboardVisBackend", "wandb": "WandbVisBackend"}
_PACKAGES = {backend: package for package, backend in _BACKENDS.items()}


def pick_visualizer(wanted: Mapping[str, Any] | str | None, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Return MMEngine's configuration of a visualizer whose backends can be imported; ``say`` names those that cannot.

    Args:
        wanted: ``tensorboard``, ``wandb``, or a configuration with ``vis_backends``; None: a local file only.

    Raises:
        OfhkitError: no such backend.

    >>> pick_visualizer('wand', print)
    Traceback (most recent call last):
    ofhkit.errors.OfhkitError: runtime.visualizer: no backend 'wand'; did you mean 'wandb'?
    """
    if wanted is None:
        return None
    if isinstance(wanted, str):
        if wanted not in _BACKENDS:
            raise OfhkitError(f"runtime.visualizer: no backend {wanted!r}; {did_you_mean(wanted, _BACKENDS)}")
        wanted = dict(type="Visualizer", vis_backends=[dict(type="LocalVisBackend"), dict(type=_BACKENDS[wanted])])
    there = []
    for backend in wanted.get("vis_backends") or ():
        package = _PACKAGES.get(backend["type"])
        if package is not None and find_spec(package) is None:
            say(f"{package} is not installed: scalars are not sent there (pip install {package})")
        else:
            there.append(dict(backend))
    return {**wanted, "vis_backends": there or [dict(type="LocalVisBackend")]}
