"""Two gloo processes score what one does: each batch is whole in one of them.

Tolerance: 1e-6 of every number (means are summed in another order); the milliseconds are left out.
"""

import csv
import json
import sys

import pytest
import torch
from pipeline_maker import ROOT
from process_maker import finish, start

from ofhkit.evaluation.compare import compare

TIMED = ("ms_per_image", "ms_batch1")


def leaves(tree, path: str = "") -> dict:
    if isinstance(tree, dict | list):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {
            k: v for name, branch in items if name not in TIMED for k, v in leaves(branch, f"{path}.{name}").items()
        }
    return {path: tree}


@pytest.fixture
def one_thread():
    """What the processes of a job have; the protocol names the number."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_two_processes_come_to_the_table_of_one(work, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    tool = [sys.executable, str(ROOT / "tools/test.py"), "--work-dir", str(work), "--out", str(two)]
    options = ["--metrics", "psnr", "ssim", "--device", "cpu", "--launcher", "pytorch"]
    job = start([*tool, *options])
    compare([], work_dir=work, out=one, device="cpu", metrics=["psnr", "ssim"])
    first, second = finish(job)
    assert (first[0], second) == (0, (0, "", "")), first[2]
    results, faces = {}, {}
    for folder in (one, two):
        results[folder] = leaves(json.loads((folder / "results.json").read_text()))
        lines = csv.DictReader((folder / "per_image.csv").open())
        faces[folder] = [{k: v if k == "method" else float(v) for k, v in line.items()} for line in lines]
    assert results[one].keys() == results[two].keys()
    for key, value in results[one].items():
        assert results[two][key] == (pytest.approx(value, rel=1e-6) if isinstance(value, float) else value), key
    assert len(faces[one]) == 5 * results[one][".protocol.num_images"]
    for a, b in zip(faces[one], faces[two], strict=True):
        assert a.pop("method") == b.pop("method")
        assert b == pytest.approx(a, rel=1e-6)
    assert (two / "table1.md").read_text() in first[1]
    assert {path.name for path in one.iterdir()} == {path.name for path in two.iterdir()}
