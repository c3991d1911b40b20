"""A page to try the methods on: logic in plain functions, the layout in :mod:`ofhkit.restoration.page.layout`"""

from ofhkit.restoration.page.compare import Figure, Results, restore
from ofhkit.restoration.page.inputs import EXAMPLES, Opened, open_example
from ofhkit.restoration.page.methods import Method, installed_methods
from ofhkit.restoration.page.photograph import open_file

__all__ = [
    "EXAMPLES", "Figure", "Method", "Opened", "Results", "installed_methods", "open_example", "open_file", "restore",
]  # fmt: skip
