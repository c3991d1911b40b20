"""An import only goes down: the floors of CONTRIBUTING.md, held."""

import ast
from pathlib import Path

import pytest

import ofhkit

ROOT = Path(ofhkit.__file__).parent
FLOORS = {
    "functional": 0, "ops": 0, "registry": 0, "errors": 0, "plugins": 0, "files": 0, "progress": 0, "workers": 0,
    "models/layers": 1, "models/quantised": 1, "models/fixed_box": 1, "checking": 1, "config": 1, "cli": 1, "schema": 1,
    "settings": 1,
    "inspection": 2,
    "models": 2,
    "models/hallucinators": 3, "datasets": 3, "metrics": 3, "engine": 3,
    "apis": 4, "benchmarks": 4, "catalogue": 4, "comparison": 4, "demo": 4, "diagnosis": 4, "reports": 4,
    "export": 4, "reference": 4, "testing": 4,
    "restoration": 4, "zoo": 4,
}  # fmt: skip
SEPARATE = {"models/hallucinators", "datasets", "metrics", "engine"}  # floor 3: they meet as batch keys only


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
        if own in SEPARATE and other in SEPARATE:
            assert own == other, f"{own} imports {target}: rooms of floor 3 meet as batch keys only"
