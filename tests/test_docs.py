"""What the pages print works: their Python runs, their commands are understood, their links and plugins are there."""

import glob
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from pipeline_maker import FSRCNN, ROOT, write_pack, write_pipeline

from ofhkit.commands.cli import main
from ofhkit.commands.options import Parser
from ofhkit.config import load_config, parse_options
from ofhkit.config.find import shipped_configs
from ofhkit.registry import plugins

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN = ("figure", "batch", "metrics", "first_steps")  # the rest names files of yours, or continues something
WRITTEN_BY_THE_READER = ("My", "my_", "mine")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_is_python(page):
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_python_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if name == "first_steps":
        write_pipeline(tmp_path / "work_dirs", "ofhnet_synthetic", "OFHNet", write_pack(tmp_path / "pack"), FSRCNN)
    torch.manual_seed(0)
    code = blocks(ROOT / f"docs/{name}.md", "python")
    assert code
    exec("\n".join(code), {})


@pytest.mark.slow
def test_readmes_python_does_what_it_says(tmp_path):
    """In a process of its own: its upsampler must not be there for other tests."""
    first, second = blocks(ROOT / "README.md", "python")
    with Image.open(ROOT / "ofhkit/assets/astronaut_face.png") as face:
        face.convert("RGB").resize((16, 16)).save(tmp_path / "face16.png")
    promise = "from ofhkit.testing import check\ncheck('upsampler', MyUpsampler())"
    code = "\n".join([first, second, promise])
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said = re.search(r"# (Result\(.*\))$", first, re.M)[1]
    assert re.fullmatch(re.escape(said).replace("…", r"[\d.]+"), done.stdout.strip())
    with Image.open(tmp_path / "face128.png") as restored:
        assert restored.size == (128, 128)


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for block in blocks(page, "(?:bash|sh|)"):
            lines = re.sub(r"\\\n\s*", "", block).splitlines()
            found += [
                (page.name, line.strip()) for line in lines if line.strip().startswith(("python tools/", "ofhkit "))
            ]
    return list(dict.fromkeys(found))


class Parsed(Exception):
    def __init__(self, namespace):
        self.namespace = namespace


@pytest.mark.parametrize(("page", "command"), commands(), ids=lambda text: text)
def test_commands_are_understood(page, command, monkeypatch):
    """Every option is one of the tool's; every configuration is there and takes every override."""
    tool, *arguments = shlex.split(command.replace("…", "").removeprefix("python "), comments=True)
    assert tool == "ofhkit" or (ROOT / tool).is_file(), f"{page}: {command}"
    parse = Parser.parse_args

    def stop(self, args=None, namespace=None):
        raise Parsed(parse(self, args, namespace))

    monkeypatch.setattr(Parser, "parse_args", stop)
    monkeypatch.setattr(plugins, "request", lambda *_: None)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [tool, *(a for a in arguments if not re.fullmatch(r"\[.*\]", a))])
    with pytest.raises(Parsed) as parsed:
        main() if tool == "ofhkit" else runpy.run_path(str(ROOT / tool), run_name="__main__")
    options = parse_options(getattr(parsed.value.namespace, "cfg_options", None))
    own = {k: v for k, v in options.items() if not str(v).startswith(WRITTEN_BY_THE_READER)}
    shipped = [a for a in arguments if a.startswith("configs/") or a in shipped_configs()]
    files = [name for a in shipped for name in glob.glob(a) or [a]]
    for file in files:
        load_config(file, own)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_that_are_named_are_there(page):
    text = page.read_text(encoding="utf-8")
    for name in set(re.findall(r"`((?:tools|configs|plugins|ofhkit|docs)/[\w./]+\.\w+)`", text)):
        assert (ROOT / name).exists(), f"{page.name}: {name}"


def test_nothing_is_fetched_while_a_page_is_read():
    import yaml

    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert settings["theme"]["name"] == "shadcn"  # whose scripts, styles and fonts lie beside the pages
    assert "extra_javascript" not in settings
    assert all((ROOT / "docs" / style).is_file() for style in settings["extra_css"])
    for page in PAGES:
        assert "```mermaid" not in page.read_text(), "its script would be fetched from the net"
        assert not re.search(r"!\[[^\]]*\]\(https?:", page.read_text()), f"{page.name} shows a picture from the net"
