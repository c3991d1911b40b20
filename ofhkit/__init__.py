"""ofhkit: a 16x16 face with a hole in it becomes a complete 128x128 face.

Importing the package is cheap; torch and mmengine are loaded when something is used.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
