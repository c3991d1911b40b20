"""What the build of these pages adds: pages made from the code, and pages that the navigation does not list yet."""

import json
import re
import sys
from pathlib import Path

from mkdocs.structure.files import File, Files

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))
from reference import PAGES  # noqa: E402


def _listed(nav) -> set[str]:
    if isinstance(nav, str):
        return {nav}
    return set().union(*map(_listed, nav.values() if isinstance(nav, dict) else nav)) if nav else set()


def on_config(config):
    """Put every page that nobody placed under *More*, results under *Results*: a new page is never lost."""
    listed = _listed(config.nav)
    pages = sorted(str(page.relative_to(FOLDER)) for page in FOLDER.rglob("*.md"))
    for title, wanted in (("Results", True), ("More", False)):
        rest = [p for p in pages if p not in listed and p.startswith("results/") is wanted]
        config.nav += [{title: rest}] if rest else []
    return config


def on_files(files: Files, config) -> Files:
    """Make the reference pages, and a page of every notebook."""
    for name, page in PAGES.items():
        files.append(File.generated(config, name, content=page()))
    files.append(File.generated(config, "api.md", content=_api_page()))
    for notebook in sorted(FOLDER.glob("notebooks/*.ipynb")):
        files.append(File.generated(config, f"notebooks/{notebook.stem}.md", content=_as_page(notebook)))
    return files


def _api_page() -> str:
    """Every name of the public surface with its docstring, by mkdocstrings."""
    items = re.findall(r"^- (.*(?:\n  .*)*)", (FOLDER / "public_api.md").read_text(encoding="utf-8"), re.MULTILINE)
    parts = ["# The Python interface", "What [a plugin may import](public_api.md), from the docstrings."]
    for module, *names in (re.findall(r"`([\w.]+)`", item) for item in items):
        options = f"    options:\n      members: [{', '.join(names)}]"
        parts += [f"## {module}", f"::: {module}\n{options}"]
    return "\n\n".join([*parts, ""])


def _as_page(notebook: Path) -> str:
    """A notebook's cells as Markdown, with the file to download."""
    parts = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join([*parts, f"[This page as a notebook]({notebook.name})", ""])
