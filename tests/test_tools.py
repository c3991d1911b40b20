"""The command-line tools as a shell starts them."""

import errno
import os
import re
import resource
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from celeba_maker import MadeCelebA

from ofhkit.commands.cli import COMMANDS, main
from ofhkit.commands.options import run

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


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ofhkit", command, "--help"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    assert f"usage: ofhkit {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [("-m", "ofhkit", "--help"), ("tools/train.py", "--help"), ("-m", "ofhkit", "list", "-h")]
)
def test_help_takes_less_than_a_second(arguments):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=TOOLS.parent, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_the_command_without_arguments_lists_its_commands(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ofhkit"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:-2]] == list(COMMANDS)
    assert max(map(len, lines)) <= 80


def test_an_unknown_command_is_answered_with_the_nearest(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ofhkit", "trian"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: no command 'trian'; did you mean 'train'?\n"


def test_a_command_s_tool_is_three_lines():
    for tool in TOOLS.glob("*.py"):
        if "ofhkit.commands.cli" in (text := tool.read_text()):
            assert len(text.split("\n\n")) == 2
            assert len([line for line in text.splitlines() if line]) == 3


@pytest.mark.slow
def test_prepare_celeba_writes_a_pack(tmp_path, monkeypatch, capsys):
    raw, pack = MadeCelebA(10).flat(tmp_path), tmp_path / "pack"
    assert call(monkeypatch, "prepare_celeba.py", "--root", raw, "--out", pack, "--workers", 0) == 0
    assert "10 faces (6 train, 2 val, 2 test)" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_closed_disk_is_one_sentence(number, capsys):
    def main():
        raise OSError(number, os.strerror(number), "results.csv")

    with pytest.raises(SystemExit) as stop:
        run(main)
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: nothing can be written (results.csv): {os.strerror(number)}; ")


@pytest.mark.parametrize("number", [errno.EACCES, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP])
def test_a_path_that_cannot_be_used_is_one_sentence(number, capsys):
    def main():
        raise OSError(number, os.strerror(number), "a\x1b[2J")

    with pytest.raises(SystemExit) as stop:
        run(main)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: this path cannot be used (a\\x1b[2J): {os.strerror(number)}; ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", ["train", "test"])
def test_a_configuration_that_is_not_there_is_said_before_torch_is_imported(command):
    code = (
        f"import sys; from ofhkit.commands.cli.{command} import main; from ofhkit.errors import OfhkitError\n"
        "sys.argv = ['train', 'configs/ofhnet_syntetic.py']\n"
        "try: main()\n"
        "except OfhkitError as error: print(error, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=TOOLS.parent)
    assert found.stdout.endswith("did you mean 'ofhnet_synthetic.py'? False\n")


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("train.py", ("configs/ofhnet_celeba.py", "--budget", "nan")),
        ("train.py", ("configs/ofhnet_celeba.py", "--budget", "inf")),
        ("train.py", ("configs/ofhnet_celeba.py", "--budget", "-1")),
        ("train.py", ("configs/ofhnet_celeba.py", "--seed", "-1")),
        ("train.py", ("configs/ofhnet_celeba.py", "--seed", "1e3")),
        ("prepare_celeba.py", ("--root", "x", "--out", "y", "--workers", "-1")),
        ("prepare_celeba.py", ("--root", "x", "--out", "y", "--seed", "9" * 400)),
        ("infer.py", ("x.png", "--batch-size", "0")),
    ],
)
def test_numbers_out_of_range_are_refused(tool, arguments, monkeypatch, capsys):
    assert call(monkeypatch, tool, *arguments) == 2
    assert re.search(r"error: argument --[a-z-]+: .* is no (whole|positive) number", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("class", "cannot be"), ("My", "cannot be"), ("é", "cannot be"), ("__init__", "cannot be"),
        ("a.b", "cannot be"), ("torch", "shadowed"), ("json", "shadowed"), ("ofhkit", "shadowed"), ("sys", "shadowed"),
        ("telea", "called Telea"), ("tensor", "called Tensor"),
    ],
)  # fmt: skip
def test_a_plugin_has_a_name_of_its_own(name, complaint, monkeypatch, capsys, tmp_path):
    assert call(monkeypatch, "new_plugin.py", name, "inpainter", "--out", tmp_path) == 2
    assert complaint in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_told_to_stop_a_tool_ends_as_after_ctrl_c(capsys):
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as stop:
            run(lambda: signal.raise_signal(signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stop.value.code == 143
    assert "what was finished is kept" in capsys.readouterr().err


def test_without_shipped_weights_the_list_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("ofhkit.zoo.FOLDER", tmp_path)
    assert call(monkeypatch, "list_models.py") == 0
    assert capsys.readouterr().out.startswith("no weights ship with this copy of ofhkit: name a model.safetensors")
