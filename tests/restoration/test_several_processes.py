"""Two gloo processes restore what one does: the same table, and with batches of one face the same files, bit by bit."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pipeline_maker import INPAINTER, ROOT
from process_maker import finish, start

from ofhkit.registry import HALLUCINATORS
from ofhkit.restoration import MaskOptions, Restorer, restore_files
from ofhkit.zoo import load_model
from ofhkit.zoo.weights import save_weights

MODEL = dict(type="FaceHallucinator", inpainter=INPAINTER, upsampler=dict(type="Bicubic"))
BOX = "4,4,6,6"


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    header = {"model": MODEL, "method": "x", "licence": "for tests"}
    path = tmp_path_factory.mktemp("weights") / "m.safetensors"
    return save_weights(path, HALLUCINATORS.build(MODEL).state_dict(), header)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """Names that collide, an animation, a file that is no picture, a picture without a face, one hole too large."""
    folder, rng = tmp_path_factory.mktemp("in"), np.random.default_rng(0)
    tiny = [Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for _ in range(8)]
    (folder / "deep").mkdir()
    tiny[0].save(folder / "a.png")
    tiny[1].save(folder / "a.bmp")
    tiny[2].save(folder / "deep/a.png")
    tiny[3].save(folder / "clip.gif", save_all=True, append_images=tiny[4:7], duration=40)
    tiny[7].save(folder / "clip_00002.png")
    (folder / "bad.jpg").write_bytes(b"nothing")
    Image.new("RGB", (300, 200), "grey").save(folder / "grey.png")
    return folder


def command(inputs: Path, out: Path, weights: Path, *more: str) -> list[str]:
    tool = [sys.executable, str(ROOT / "tools/infer.py"), str(inputs), str(inputs / "none.png"), "--out", str(out)]
    return [*tool, "--model", str(weights), "--device", "cpu", "--box", BOX, "--launcher", "pytorch", *more]


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 64])
def test_every_picture_is_restored_once_and_the_table_is_that_of_one_process(inputs, weights, tmp_path, batch_size):
    one, two = tmp_path / "one", tmp_path / "two"
    mask = MaskOptions(boxes=[tuple(int(v) for v in BOX.split(","))])
    done = restore_files(
        [inputs, inputs / "none.png"], one, Restorer(load_model(weights, "cpu"), mask, batch_size=batch_size)
    )
    first, second = finish(start(command(inputs, two, weights, "--batch-size", str(batch_size))))
    assert first[0] == 1, first[2]
    assert first[1].startswith("8 restored, 3 failed")
    assert len([line for line in first[2].splitlines() if ": failed: " in line]) == 3
    assert first[2].count("for tests") == 1
    assert second == (0, "", "")

    tables = [list(csv.DictReader((folder / "results.csv").open())) for folder in (one, two)]
    for a, b in zip(*tables, strict=True):
        scores = [float(row.pop("consistency_db") or 0) for row in (a, b)]
        assert abs(scores[0] - scores[1]) < (1e-9 if batch_size == 1 else 0.02)
        assert a == b
    assert len(done.rows) == len(tables[0]) == 11
    files = sorted(path.relative_to(one) for path in one.rglob("*.png"))
    assert files == sorted(path.relative_to(two) for path in two.rglob("*.png"))
    for file in files:
        a, b = (np.asarray(Image.open(folder / file)).astype(int) for folder in (one, two))
        assert np.abs(a - b).max() <= (0 if batch_size == 1 else 1)


@pytest.mark.slow
def test_a_process_that_dies_is_a_failure(inputs, weights, tmp_path):
    dying = tmp_path / "dying.py"
    dying.write_text("import os\nif os.environ['RANK'] == '1':\n    os._exit(9)\n")
    (code, out, errors), second = finish(start(command(inputs, tmp_path / "out", weights, "--plugins", str(dying))))
    assert (code, second[0]) == (2, 9)
    assert "another process was killed or cannot be reached" in errors
    assert "restored" not in out
    assert "Traceback" not in errors
