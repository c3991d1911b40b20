"""Where configuration files are: asked before anything large is imported, so that a wrong name is answered at once."""

import os
from pathlib import Path

from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.runtime.files import beside


def shipped_configs() -> dict[str, Path]:
    """Configurations that ship with the package: name -> file, in alphabetical order.

    >>> shipped_configs()['ofhnet_synthetic'].name
    'ofhnet_synthetic.py'
    """
    found = (path for path in beside("configs").rglob("*.py") if path.parent.name != "_base_")
    return {path.stem: path for path in sorted(found, key=lambda path: path.stem)}


def find_config(name: str | Path, folder: Path = Path()) -> Path:
    """The file that a configuration's name means: a path from ``folder`` on, or one that ships.

    A name without folders, and a path that begins with ``configs``, find what ships with the package.
    """
    path = folder / name
    parts = Path(name).parts
    if path.is_file() or path.suffix not in ("", ".py") or not (len(parts) == 1 or parts[0] in ("configs", "_base_")):
        return path
    inside = beside("configs") / Path(*parts[parts[0] == "configs" :])
    return inside if inside.is_file() else shipped_configs().get(path.stem, path)


def existing(path: Path) -> Path:
    """Return the file's full path.

    Raises:
        OfhkitError: no such file; names the nearest.
    """
    path = Path(os.path.realpath(path))
    if not path.is_file():
        there = [p.name for p in path.parent.glob("*.py")] if path.suffix == ".py" else shipped_configs()
        near = did_you_mean(path.name, there) if path.parent.is_dir() else ""
        raise OfhkitError(f"no configuration file {path}; {near or 'the folder does not exist'}")
    return path
