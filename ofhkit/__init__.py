"""ofhkit: a 16x16 face with a hole in it becomes a complete 128x128 face.

Importing the package is cheap; torch and mmengine are loaded when something is used.
"""

from typing import TYPE_CHECKING, Any

from ofhkit.runtime.version import __version__

__all__ = ["Result", "__version__", "hallucinate", "load_model"]


if TYPE_CHECKING:
    from ofhkit.apis import Result, hallucinate, load_model


def __getattr__(name: str) -> Any:
    if name in __all__:
        from ofhkit import apis

        return getattr(apis, name)
    raise AttributeError(f"module 'ofhkit' has no attribute {name!r}")
