"""The command-line tools as a shell starts them."""

import runpy
import sys
from pathlib import Path

import pytest
from celeba_maker import MadeCelebA

TOOLS = Path(__file__).parent.parent / "tools"


def call(monkeypatch, name, *arguments):
    """Run a tool in this process; returns its exit status."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(TOOLS / name), run_name="__main__")
    return stop.value.code


@pytest.mark.parametrize("name", sorted(path.name for path in TOOLS.glob("*.py")))
def test_every_tool_explains_itself(name, monkeypatch, capsys):
    assert call(monkeypatch, name, "--help") == 0
    assert f"usage: {name}" in capsys.readouterr().out


def test_prepare_celeba_writes_a_pack(tmp_path, monkeypatch, capsys):
    raw, pack = MadeCelebA(10).flat(tmp_path), tmp_path / "pack"
    assert call(monkeypatch, "prepare_celeba.py", "--root", raw, "--out", pack, "--workers", 0) == 0
    assert "10 faces (6 train, 2 val, 2 test)" in capsys.readouterr().out
