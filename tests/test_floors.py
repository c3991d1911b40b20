"""An import only goes down: the floors of CONTRIBUTING.md, held."""

import ast
import graphlib
import importlib
from pathlib import Path

import pytest

import ofhkit

ROOT = Path(ofhkit.__file__).parent
ROOMS = (  # from the ground up: a room imports only from those before it, lazily too
    "errors", "runtime", "functional", "ops", "registry", "config",
    "models/layers", "models/quantised", "models/face_embedding", "models/fitted",
    "models/losses", "models/inpainters", "models/mask_finder", "models/upsamplers", "models/discriminators",
    "models/landmark_priors", "models/parsers", "models/uncertainty", "models/inference",
    "models/pipeline", "data", "rendering", "metrics", "zoo", "evaluation", "training", "testing", "restoration",
    "restoration/page", "export", "commands", "commands/cli",
)  # fmt: skip
ORDER = {name: floor for floor, name in enumerate(ROOMS)}


def room(path: str) -> str | None:
    """The longest prefix of ``path`` that has a floor."""
    parts = path.split("/")
    prefixes = ["/".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((p for p in prefixes if p in ORDER), None)


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
    if own is None:  # ofhkit/__init__.py, the lazy doors; and empty packages
        assert str(file.relative_to(ROOT)) in ("__init__.py", "__main__.py", "models/__init__.py")
        return
    for target in imports(file):
        other = room(target)
        assert other is not None, f"{target} has no floor: add it to ROOMS"
        assert ORDER[other] <= ORDER[own], f"{own} imports {target}, which lies above it"


def test_no_circle_of_modules():
    """Lazy imports, and names of a package that are modules, count."""
    files = {str(f.relative_to(ROOT).with_suffix("")).removesuffix("/__init__"): f for f in ROOT.rglob("*.py")}
    graph = {}
    for module, file in files.items():
        wanted = imports(file)
        graph[module] = {w if w in files else w.rpartition("/")[0] for w in wanted} & set(files) - {module}
    graphlib.TopologicalSorter(graph).prepare()  # raises a CycleError that names the modules


DOORS = ("ops",)  # rooms that the others enter by what their __init__ exports


@pytest.mark.parametrize("door", DOORS)
def test_other_rooms_enter_by_the_door(door):
    outside = {file: imports(file) for file in ROOT.rglob("*.py") if file.relative_to(ROOT).parts[0] != door}
    found = {(str(file), name) for file, names in outside.items() for name in names if name.startswith(f"{door}/")}
    exported = {f"{door}/{name}" for name in importlib.import_module(f"ofhkit.{door}").__all__}
    assert found
    assert {pair for pair in found if pair[1] not in exported} == set()
