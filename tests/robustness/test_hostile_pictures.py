"""The door of pictures: no file takes more memory or time than it may, and what is no picture is refused in a sentence.

The long part goes on where it was stopped: ``python -m pytest -m long tests/robustness/test_hostile_pictures.py``.
"""

import os
from collections import Counter
from pathlib import Path

import pytest
from bounded import put_through
from hostile_pictures import good, mutated, written_down

MEGABYTES = 400  # above the start, for the limit of 600 MB that the door is given
QUICK, LONG, PART = 300, 2_000, 200


def fill(folder: Path, files) -> Path:
    for name, content in files:
        (folder / name).write_bytes(content)
    return folder


def wrong(found: dict[str, tuple[str, str, float]]) -> dict[str, tuple[str, str, float]]:
    """What broke, took too much, or was refused only because memory or time ran out."""
    late = ("MemoryError", "more than 30 s")
    return {n: f for n, f in found.items() if f[0] == "broken" or f[2] > MEGABYTES or any(t in f[1] for t in late)}


def test_good_pictures_are_read(tmp_path):
    found = put_through("pictures", fill(tmp_path, good().items()))
    assert len(found) == len(good())
    assert {name: f for name, f in found.items() if f[0] != "ok"} == {}


def test_every_bomb_is_refused_before_it_is_decoded(tmp_path):
    (tmp_path / "sparse.png").touch()
    os.truncate(tmp_path / "sparse.png", 2**40)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    found = put_through("pictures", fill(tmp_path, written_down()))
    taken = {name for name, f in found.items() if f[0] == "ok"}
    assert wrong(found) == {}
    assert taken <= {"small_double.tif", "strip.tif", "loop.tif", "frames.png"}  # odd, and small


def test_mutated_pictures_are_read_or_refused(tmp_path):
    found = put_through("pictures", fill(tmp_path, mutated(QUICK)))
    assert wrong(found) == {}
    assert Counter(outcome for outcome, *_ in found.values()).keys() == {"ok", "refused"}


@pytest.mark.long
@pytest.mark.slow
def test_two_thousand_mutated_pictures(tmp_path, counts):
    counts = counts("pictures")
    while counts["cases"] < LONG:
        seed = 1 + counts["cases"] // PART
        folder = tmp_path / str(seed)
        folder.mkdir()
        found = put_through("pictures", fill(folder, mutated(PART, seed)))
        assert wrong(found) == {}
        ends = Counter(outcome for outcome, *_ in found.values())
        counts.add(cases=PART, read=ends["ok"], refused=ends["refused"])
        counts.add(most_MB=round(max(memory for *_, memory in found.values())))
    counts.done()
