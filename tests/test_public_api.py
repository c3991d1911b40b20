"""The public surface is the one that docs/public_api.md states; public_surface.txt lists it with parameters."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import ofhkit

ROOT = Path(__file__).parents[1]


def stated() -> dict[str, list[str]]:
    """Module -> names, as the document lists them."""
    text = (ROOT / "docs/public_api.md").read_text()
    items = re.findall(r"^- (.*(?:\n  .*)*)", text, re.MULTILINE)
    words = [re.findall(r"`([\w.]+)`", item) for item in items]
    return {module: names for module, *names in words}


def signature(name: str, value: object) -> str:
    """A function's or a class's name with its parameters; a bare name for anything else."""
    exception = inspect.isclass(value) and issubclass(value, BaseException)
    if exception or not (inspect.isroutine(value) or inspect.isclass(value)):
        return name
    return f"{name}({', '.join(inspect.signature(value).parameters)})"


def surface() -> str:
    return "".join(
        f"{module}.{signature(name, getattr(importlib.import_module(module), name))}\n"
        for module, names in stated().items()
        for name in names
    )


def test_the_surface_is_the_reviewed_one():
    assert surface() == (ROOT / "tests/public_surface.txt").read_text(), (
        "the public surface changed: say so in CHANGELOG.md; python tests/test_public_api.py > tests/public_surface.txt"
    )


def test_what_a_module_of_the_surface_exports_is_stated():
    for module in ("ofhkit", "ofhkit.testing", "ofhkit.registry", "ofhkit.registry.plugins"):
        exported = set(importlib.import_module(module).__all__) - {"__version__", "Registry", "GROUP", "VARIABLE"}
        assert exported == set(stated()[module])


def test_the_surface_is_typed():
    assert (Path(ofhkit.__file__).parent / "py.typed").is_file()
    for module, names in stated().items():
        for name in names:
            function = getattr(importlib.import_module(module), name)
            if inspect.isroutine(function):
                bare = [p.name for p in inspect.signature(function).parameters.values() if p.annotation is p.empty]
                assert not bare, f"{module}.{name}: {bare} without a type"
                assert inspect.signature(function).return_annotation is not inspect.Signature.empty


def test_example_plugins_import_public_names_only():
    public = stated()
    found = 0
    for file in (ROOT / "plugins").glob("*/*/**/*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "ofhkit":
                found += 1
                assert {a.name for a in node.names} <= set(public.get(node.module, ())), f"{file}: {node.module}"
    assert found >= 8


def test_readme_shows_public_names_only():
    public = stated()
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert len(blocks) >= 2
    for node in (node for block in blocks for node in ast.walk(ast.parse(block))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "ofhkit":
            assert {a.name for a in node.names} <= set(public[node.module]), node.module
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ofhkit":
            assert node.attr in public["ofhkit"], node.attr


if __name__ == "__main__":
    print(surface(), end="")
