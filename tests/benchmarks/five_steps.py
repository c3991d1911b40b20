"""Do what docs/add_an_upsampler.md says, command by command, in an empty folder, and print how long each takes.

    python tests/benchmarks/five_steps.py

Installation is left out: the plugin is named in OFHKIT_PLUGINS instead.
"""

import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


def commands() -> list[str]:
    """The shell lines of the five steps, without those of pip."""
    text = (
        (ROOT / "docs/add_an_upsampler.md").read_text(encoding="utf-8").partition("## Three ways to name a plugin")[0]
    )
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
    lines = [line for block in blocks for line in re.sub(r"\\\n *", "", block).splitlines()]
    return [line for line in lines if line.startswith("python")]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for link in ("tools", "configs"):
            (folder / link).symlink_to(ROOT / link)
        plugin = folder / "plugins/my_upsampler"
        environment = {**os.environ, "OFHKIT_PLUGINS": "", "PYTHONPATH": f"{ROOT}{os.pathsep}{plugin / 'src'}"}
        total = 0.0
        for command in commands():
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            call = [sys.executable, *shlex.split(command, comments=True)[1:]]
            subprocess.run(call, cwd=folder, env=environment, check=True, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            total += worked
            print(f"{worked:6.1f} s of CPU, {time.monotonic() - start:6.1f} s in all: {command}", flush=True)
            environment["OFHKIT_PLUGINS"] = str(plugin)
        print(f"{total:6.1f} s of CPU together")


if __name__ == "__main__":
    main()
