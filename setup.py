"""Install with ``pip install -e .`` (development: ``pip install -e '.[test]'``); pyproject.toml says the rest."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithConfigs(build_py):
    """Put into a wheel what a checkout has beside the package (``ofhkit.runtime.files.beside`` finds both)."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for source in (*Path("configs").rglob("*.py"), Path("docs/roles.md")):
                target = Path(self.build_lib, "ofhkit", source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


setup(cmdclass={"build_py": WithConfigs})
