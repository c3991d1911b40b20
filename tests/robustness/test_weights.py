"""The door of weights: nobody's file costs more than its size, says what it likes, or answers with nonsense."""

from collections import Counter
from pathlib import Path

import pytest
from bounded import MEGABYTES, put_through
from hostile_weights import good, mutated, pack, written_down


def fill(folder: Path, files) -> Path:
    for name, content in files:
        (folder / f"{name}.safetensors").write_bytes(content)
    return folder


def test_every_hostile_file_is_refused_in_one_sentence(tmp_path):
    found = put_through("weights", fill(tmp_path, written_down()))
    assert len(found) > 90
    assert {name: f for name, f in found.items() if f[0] != "refused" or f[2] > MEGABYTES / 4} == {}


def test_a_good_file_is_taken(tmp_path):
    found = put_through("weights", fill(tmp_path, [("good", pack(*good()))]))
    assert found["good.safetensors"][0] == "ok"


@pytest.mark.long
@pytest.mark.slow
def test_three_hundred_mutated_files(tmp_path, counts):
    counts = counts("weights")
    found = put_through("weights", fill(tmp_path, mutated(300)))
    assert {name: f for name, f in found.items() if f[0] == "broken" or f[2] > MEGABYTES / 2} == {}
    ends = Counter(outcome for outcome, *_ in found.values())
    counts.add(cases=len(found), used=ends["ok"], refused=ends["refused"])
    counts.add(most_MB=round(max(memory for *_, memory in found.values())))
    counts.done()
