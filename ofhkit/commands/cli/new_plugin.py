"""Write a new plugin: a package with one component that works, its metadata, a test and a README.

    ofhkit new-plugin my_upsampler upsampler [--out DIR]

Then ``pip install -e DIR/my_upsampler``, or no installation and ``--plugins DIR/my_upsampler``.
"""

import ast
import importlib.util
import keyword
import re
import sys
from pathlib import Path

from ofhkit import __version__, registry
from ofhkit.commands.options import Parser
from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.registry import Registry
from ofhkit.runtime.files import beside

IMPORTS, *SECTIONS = re.split(r"^## ", beside("docs/roles.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
EXAMPLE = re.compile(r"(?P<kind>[^\n]+)\n\n(?P<promise>.+?)\n\n```python\n(?P<code>.+?)```", re.DOTALL)
EXAMPLES = {m["kind"].lower().replace(" ", "_"): m for m in map(EXAMPLE.match, SECTIONS) if m}
"""What to write -> its section of docs/roles.md: the heading, what it promises, code that works."""

PYPROJECT = """[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"

[project]
name = "ofhkit-{dashed}"
version = "0.1.0"
requires-python = ">=3.10"
dependencies = ["ofhkit{versions}"]

[project.entry-points."ofhkit.plugins"]
{name} = "{name}"

[tool.setuptools.packages.find]
where = ["src"]
"""
MODULE = '''"""What it is.

Reference: authors, "title", venue, year, section.

Differs from the paper: what, and why.

What it promises:

{promise}
"""

{imports}


{code}'''
TEST = '''"""It keeps its role's promises and is found by its name."""

from {name} import {title}
from ofhkit.registry import {registry}
from ofhkit.testing import check


def test_promises():
    check("{role}", {title}({arguments}))


def test_name():
    assert {registry}.get("{title}") is {title}
'''
ARGUMENTS = {"hallucinator": 'dict(type="EncoderDecoder"), dict(type="FSRCNN")', "stage": "iterations=1"}
README = """# ofhkit-{dashed}

    pip install -e .
    python -m pytest
    ofhkit list {role}    # in ofhkit's folder
"""


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def role_of(kind: str) -> Registry:
    """The role that an example is registered in."""
    constant = re.search(r"@(\w+)\.register_module", EXAMPLES[kind]["code"])[1]
    return getattr(registry, constant)


def files(name: str, kind: str) -> dict[str, str]:
    """Path -> text of a new plugin."""
    title, role = _title(name), role_of(kind).name
    code = re.sub(re.search(r"class (My\w+)", EXAMPLES[kind]["code"])[1], title, EXAMPLES[kind]["code"])
    major, minor = __version__.split(".")[:2]
    words = {
        "name": name, "role": role, "title": title, "registry": re.search(r"@(\w+)", code)[1],
        "dashed": name.replace("_", "-"), "versions": f">={major}.{minor},<{major}.{int(minor) + 1}",
        "arguments": ARGUMENTS.get(role, ""), "promise": EXAMPLES[kind]["promise"].replace("\\", ""),
        "imports": _imports(code), "code": code,
    }  # fmt: skip
    init = f'"""Importing the package registers {title}."""\n\nfrom {name}.component import {title}\n\n'
    return {
        "pyproject.toml": PYPROJECT.format(**words),
        "README.md": README.format(**words),
        f"src/{name}/__init__.py": init + f'__all__ = ["{title}"]\n',
        f"src/{name}/component.py": MODULE.format(**words),
        f"tests/test_{name}.py": TEST.format(**words),
    }


def _imports(code: str) -> str:
    """Those imports of the page that ``code`` uses."""
    lines = []
    for node in ast.parse(re.search("```python\n(.+?)```", IMPORTS, re.DOTALL)[1]).body:
        node.names = [n for n in node.names if re.search(rf"\b{n.asname or n.name}\b", code)]
        if node.names:
            lines.append(ast.unparse(node))
    return "\n".join(lines)


def check_name(name: str, kind: str) -> None:
    """Refuse a name that no package can have, or that something else has already.

    Raises:
        OfhkitError: it is no lower-case identifier, can be imported already, or names a class that is taken.
    """
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise OfhkitError(f"{name!r:.80} cannot be a package's name; take lower case and underscores: my_upsampler")
    if name == "tests" or name in sys.builtin_module_names or importlib.util.find_spec(name) is not None:
        raise OfhkitError(f"a package {name!r:.80} is there already and would be shadowed; take a name of its own")
    title = _title(name)
    if re.search(rf"\b{title}\b", IMPORTS) or title in role_of(kind):
        raise OfhkitError(f"the class of {name!r} would be called {title}, as another is; take a name of its own")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("name", help="of the package, as in my_upsampler")
    parser.add_argument("role", help=", ".join(EXAMPLES))
    parser.add_argument("--out", type=Path, default=Path("plugins"), metavar="DIR", help="where (default: plugins)")
    args = parser.parse_args()
    if args.role not in EXAMPLES:
        raise OfhkitError(f"there is no template for the role {args.role!r}; {did_you_mean(args.role, EXAMPLES)}")
    check_name(args.name, args.role)
    folder = args.out / args.name
    if folder.exists():
        raise OfhkitError(f"{folder} exists; choose another name or remove it")
    for path, text in files(args.name, args.role).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    print(f"{folder} written; try: ofhkit list {role_of(args.role).name} --plugins {folder}")
