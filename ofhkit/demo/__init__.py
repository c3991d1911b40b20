"""A page to try the methods on: logic in plain functions, the layout in :mod:`ofhkit.demo.page` (needs Gradio)."""

from ofhkit.demo.methods import Method, installed_methods
from ofhkit.demo.opening import EXAMPLES, Opened, open_example, open_file
from ofhkit.demo.restoring import Figure, Results, restore

__all__ = [
    "EXAMPLES", "Figure", "Method", "Opened", "Results", "installed_methods", "open_example", "open_file", "restore",
]  # fmt: skip
