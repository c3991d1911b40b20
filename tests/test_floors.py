"""An import only goes down: the floors of CONTRIBUTING.md, held."""

import ast
import importlib
from pathlib import Path

import pytest

import ofhkit

ROOT = Path(ofhkit.__file__).parent
FLOORS = {
    "errors": 0, "files": 0, "functional": 0, "ops": 0, "registry": 0, "runtime": 0,
    "models/layers": 1, "models/quantised": 1, "config": 1,
    "models": 2, "data": 2,
    "models/pipeline": 3, "rendering": 3, "metrics": 3,
    "evaluation": 4, "training": 4, "zoo": 4,
    "commands": 5, "export": 5, "restoration": 5, "testing": 5,
}  # fmt: skip


def room(path: str) -> str | None:
    """The longest prefix of ``path`` that has a floor."""
    parts = path.split("/")
    prefixes = ["/".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((p for p in prefixes if p in FLOORS), None)


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ofhkit."):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("ofhkit.")}
    return {name.removeprefix("ofhkit.").replace(".", "/") for name in found}


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down(file):
    own = room(str(file.relative_to(ROOT).with_suffix("")).removesuffix("/__init__"))
    if own is None:  # ofhkit/__init__.py
        return
    for target in imports(file):
        other = room(target)
        assert other is not None, f"{target} has no floor: add it to FLOORS"
        assert FLOORS[other] <= FLOORS[own], f"{own} (floor {FLOORS[own]}) imports {target} (floor {FLOORS[other]})"


DOORS = ("ops",)  # rooms that the others enter by what their __init__ exports


@pytest.mark.parametrize("door", DOORS)
def test_other_rooms_enter_by_the_door(door):
    outside = {file: imports(file) for file in ROOT.rglob("*.py") if file.relative_to(ROOT).parts[0] != door}
    found = {(str(file), name) for file, names in outside.items() for name in names if name.startswith(f"{door}/")}
    exported = {f"{door}/{name}" for name in importlib.import_module(f"ofhkit.{door}").__all__}
    assert found
    assert {pair for pair in found if pair[1] not in exported} == set()
