"""Checkpoints: whole, newest first, strict, and never anybody's code."""

import errno
import os
import pickle
import shutil
import subprocess
import sys
import time

import pytest
import torch
from process_maker import train_gan
from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.training.checkpoint import list_checkpoints, load_checkpoint, newest_checkpoint, save_checkpoint
from ofhkit.zoo.weights import load_strictly, load_weights, save_weights


def test_only_the_newest_are_kept_and_a_torn_one_is_passed_over(tmp_path, capsys):
    for iteration in (1, 2, 10):
        save_checkpoint(tmp_path, iteration, {"iteration": iteration})
    assert [p.name for p in list_checkpoints(tmp_path)] == ["iter_00000010.pth", "iter_00000002.pth"]
    newest = list_checkpoints(tmp_path)[0]
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    assert newest_checkpoint(tmp_path).name == "iter_00000002.pth"
    assert "iter_00000010.pth is" in capsys.readouterr().err
    newest.write_bytes(b"")
    assert newest_checkpoint(tmp_path).name == "iter_00000002.pth"


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 5, {"iteration": 5, "x": torch.ones(3)})
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, 5, {"iteration": 6})
    assert load_checkpoint(tmp_path / "iter_00000005.pth")["iteration"] == 5
    assert [p.name for p in tmp_path.iterdir()] == ["iter_00000005.pth"]


SAVE_FOR_EVER = """
import sys, torch
from pathlib import Path
from ofhkit.training.checkpoint import save_checkpoint
iteration = int(sys.argv[2])
print("ready", flush=True)
while True:
    iteration += 1
    save_checkpoint(Path(sys.argv[1]), iteration, {"iteration": iteration, "x": torch.full((500_000,), iteration)})
    print(iteration, flush=True)
"""


@pytest.mark.slow
def test_killed_in_the_middle_of_saving_the_newest_is_whole(tmp_path):
    """Nearly all of the child's time goes into saving, so that is where the kill finds it."""
    saved, left_behind = 0, 0
    for attempt in range(8):
        child = subprocess.Popen([sys.executable, "-c", SAVE_FOR_EVER, tmp_path, str(saved)], stdout=subprocess.PIPE)
        child.stdout.readline()
        child.stdout.readline()  # one is written
        time.sleep(0.004 * attempt)
        child.kill()
        child.wait()
        child.stdout.close()
        left_behind += len(list(tmp_path.glob(".iter_*.tmp")))
        state = load_checkpoint(list_checkpoints(tmp_path)[0])  # the newest, not the one before
        assert state["iteration"] > saved
        assert (state["x"] == state["iteration"]).all()
        saved = state["iteration"]
        if left_behind and attempt:
            break
    assert left_behind
    save_checkpoint(tmp_path, saved + 1, {})
    assert not list(tmp_path.glob(".iter_*.tmp"))


class Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def test_code_is_refused_and_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"iteration": 1, "x": Evil()}, tmp_path / "iter_00000001.pth")
    with pytest.raises(OfhkitError, match=r"holds code and was not opened: .*system"):
        load_checkpoint(tmp_path / "iter_00000001.pth")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil(), protocol))
        with pytest.raises(OfhkitError, match=r"holds code and was not opened: .*system"):
            load_checkpoint(tmp_path / "plain.pth")
    torch.save({"x": Evil()}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(OfhkitError, match=r"holds code and was not opened: .*system"):
        load_checkpoint(tmp_path / "old.pth")
    assert not (tmp_path / "pwned").exists()


def test_what_is_damaged_is_told_in_our_own_words(tmp_path):
    """torch's advice, to read the file without safeguards, is passed on to nobody."""
    for content in (b"", os.urandom(5000), b"PK\x03\x04" + bytes(500)):
        (tmp_path / "iter_00000001.pth").write_bytes(content)
        with pytest.raises(OfhkitError, match="damaged") as refused:
            load_checkpoint(tmp_path / "iter_00000001.pth")
        assert "weights_only" not in str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_a_checkpoint_of_something_else_is_passed_over(tmp_path, capsys):
    whole = train_gan(tmp_path)["weights"]
    good = tmp_path / "iter_00000008.pth"
    state = load_checkpoint(good)
    (tmp_path / "iter_00000009.pth").unlink()
    (tmp_path / "iter_00000007.pth").mkdir()
    strange = [
        [1], torch.ones(3), {}, {"meta": {"iter": 9}}, {**state, "meta": {"iter": "9"}},
        {**state, "meta": {"iter": -1}}, {**state, "meta": {"iter": 99}}, {**state, "state_dict": {"x": torch.ones(1)}},
        {**state, "optimizer": {"x": 1}}, {**state, "param_schedulers": {"x": []}},
    ]  # fmt: skip
    for kind in strange:
        torch.save(kind, tmp_path / "iter_00000009.pth")
        shutil.copy(tmp_path / "iter_00000009.pth", tmp_path / "iter_00000010.pth")
        resumed = train_gan(tmp_path)
        assert len(resumed["losses"]) == 1
        assert all(torch.equal(resumed["weights"][name], value) for name, value in whole.items())
        (tmp_path / "iter_00000010.pth").unlink(missing_ok=True)
        save_checkpoint(tmp_path, 8, state)
    said = capsys.readouterr().err
    assert said.count("iter_00000009.pth is no checkpoint of a training; trying the one before") == 5
    assert said.count("iter_00000010.pth is a checkpoint of another training; trying the one before") == 4


def test_loading_is_strict_and_counts():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    good = net.state_dict()
    assert load_strictly(net, good, "f") == "matched 7/7 tensors"
    bad = {**{k: v for k, v in good.items() if k != "0.bias"}, "0.weight": torch.zeros(4, 3, 1, 1), "x": torch.ones(1)}
    with pytest.raises(OfhkitError, match=r"matched 5/7 tensors; missing: 0.bias; unexpected: x; other shape: 0"):
        load_strictly(net, bad, "f")


def test_weights_round_trip_with_their_header(tmp_path):
    tensors = {"a": torch.randn(3, 4).T, "b": torch.arange(3)}
    save_weights(tmp_path / "w.safetensors", tensors, {"method": "OFHNet", "n": 1})
    loaded, header = load_weights(tmp_path / "w.safetensors")
    assert header == {"method": "OFHNet", "n": 1}
    assert all(torch.equal(loaded[k], tensors[k]) for k in tensors)
    save_weights(tmp_path / "empty.safetensors", {}, {})
    assert load_weights(tmp_path / "empty.safetensors") == ({}, {})


@pytest.mark.parametrize("content", [b"", b"not safetensors", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_other_files_are_refused_with_a_sentence(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(OfhkitError, match=r"w\.safetensors"):
        load_weights(tmp_path / "w.safetensors")
    with pytest.raises(OfhkitError, match="no weights"):
        load_weights(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (torch.full((2,), torch.nan), "'w' holds NaN"),
        (torch.tensor([1e300, 0], dtype=torch.float64), "'w' holds NaN or"),
    ],
)
def test_weights_that_are_no_numbers_are_refused(tmp_path, value, complaint):
    save_weights(tmp_path / "w.safetensors", {"w": value}, {})
    with pytest.raises(OfhkitError, match=complaint):
        load_weights(tmp_path / "w.safetensors")


def test_whole_numbers_and_booleans_are_no_weights():
    layer = nn.Linear(2, 1, bias=False)
    for state, kind in ((torch.ones(1, 2, dtype=torch.bool), "bool"), (torch.ones(1, 2, dtype=torch.int32), "int32")):
        with pytest.raises(OfhkitError, match=f"matched 0/1 tensors; other kind: weight {kind} for float"):
            load_strictly(layer, {"weight": state}, "x")
    assert load_strictly(layer, {"weight": torch.ones(1, 2).half()}, "x") == "matched 1/1 tensors"


def test_a_full_disk_is_an_oserror_and_leaves_the_checkpoint_before(tmp_path):
    save_checkpoint(tmp_path, 1, {"a": 1})
    code = (
        "import resource, sys, torch; from pathlib import Path\n"
        "from ofhkit.training.checkpoint import save_checkpoint\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: save_checkpoint(Path(sys.argv[1]), 2, {'w': torch.zeros(100_000)})\n"
        "except OSError as error: print(error.errno)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout == f"{errno.EFBIG}\n", done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["iter_00000001.pth"]


def test_what_a_header_says_cannot_command_a_terminal(tmp_path):
    said = {"licence": "free\x1b[2J\n\u202egood", "data": {"name\r": ["\x07"]}}
    save_weights(tmp_path / "w.safetensors", {}, said)
    read = load_weights(tmp_path / "w.safetensors")[1]
    assert read == {"licence": r"free\x1b[2J \u202egood", "data": {r"name\r": [r"\x07"]}}
