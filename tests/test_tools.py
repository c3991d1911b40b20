"""The command-line tools as a shell starts them."""

import errno
import os
import runpy
import sys
from pathlib import Path

import pytest
from celeba_maker import MadeCelebA

from ofhkit.commands.cli import run

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


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_closed_disk_is_one_sentence(number, capsys):
    def main():
        raise OSError(number, os.strerror(number), "results.csv")

    with pytest.raises(SystemExit) as stop:
        run(main)
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: nothing can be written (results.csv): {os.strerror(number)}; ")


def test_without_shipped_weights_the_list_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("ofhkit.zoo.FOLDER", tmp_path)
    assert call(monkeypatch, "list_models.py") == 0
    assert capsys.readouterr().out.startswith("no weights ship with this copy of ofhkit: name a model.safetensors")
