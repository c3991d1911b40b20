"""What the build of these pages adds: pages made from the code, and pages that the navigation does not list yet."""

from pathlib import Path

from mkdocs.structure.files import File, Files

from ofhkit.commands.reference import PAGES

FOLDER = Path(__file__).parent


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
    """Make the reference pages."""
    for name, page in PAGES.items():
        files.append(File.generated(config, name, content=page()))
    return files
