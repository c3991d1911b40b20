"""A disk that is full, at any moment, in every tool that writes: one sentence, no half file under a final name.

    python -m pytest -m long tests/robustness/test_full_disk.py    # 20 levels of free space each

A disk of a given size is a tmpfs, where one may be mounted; elsewhere the size of every file is limited.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from celeba_maker import MadeCelebA
from curriculum_maker import OFHNET, ROOT, write_config
from forked import Job
from pipeline_maker import FSRCNN, write_pack, write_pipeline

from ofhkit.data.packed import PackedFaces
from ofhkit.zoo.weights import load_weights

PAGE = 4096  # bytes: tmpfs gives out no less


@pytest.fixture(scope="module")
def things(tmp_path_factory) -> Path:
    """What the tools read: raw and packed faces, a configuration, a finished run, a picture."""
    folder = tmp_path_factory.mktemp("things")
    MadeCelebA(10).flat(folder / "raw")
    pack = write_pack(folder / "pack")
    write_config(folder, "ofhnet", "OFHNet", OFHNET)
    write_pipeline(folder / "runs", "fsrcnn_celeba", "IN+FSRCNN", pack, FSRCNN)
    face = cv2.resize(np.random.default_rng(0).integers(0, 255, (4, 4, 3), np.uint8), (128, 128))
    cv2.imwrite(str(folder / "face.png"), face)
    return folder


TOOLS = {  # tool -> arguments; {} is the folder of things, OUT the small disk
    "prepare_celeba.py": "--root {}/raw --out OUT/pack --workers 0",
    "train.py": "{}/ofhnet_tiny.py --data-root {}/pack --work-dir OUT/runs --device cpu",
    "test.py": "configs/fsrcnn_celeba.py --work-dir {}/runs --out OUT/results --device cpu --metrics psnr",
    "infer.py": "{}/face.png --model {}/runs/fsrcnn_celeba --out OUT/restored --box 40,40,30,30 --device cpu",
    "export_weights.py": "{}/runs/fsrcnn_celeba --out OUT/deep/fsrcnn.safetensors --licence free",
    "export.py": "{}/runs/fsrcnn_celeba/model.safetensors --format torch --out OUT/m.pt2 --faces 1 --rounds 0",
    "new_plugin.py": "my_upsampler upsampler --out OUT",
}


@contextmanager
def disk(folder: Path, size: int) -> Iterator[bool]:
    """An empty disk of ``size`` bytes at ``folder``; False where none can be mounted: then it is an ordinary folder."""
    folder.mkdir()
    blocks = max(1, size // PAGE)
    command = ["mount", "-t", "tmpfs", "-o", f"size={blocks * PAGE}", "tmpfs", str(folder)]
    mounted = shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
        shutil.rmtree(folder)


def run(tool: str, things: Path, out: Path, most: int | None = None) -> tuple[int, str]:
    """Exit code and what was printed of a tool; with ``most`` no file of it may grow larger."""
    arguments = TOOLS[tool].replace("{}", str(things)).replace("OUT", str(out)).split()
    job = Job([ROOT / "tools" / tool, *arguments], things / "log", most)
    return job.wait(), job.said()


def check_whole(file: Path) -> None:
    """Whatever stands under a final name can be read; MMEngine's scalars are a log, a line each."""
    if file.parent.name == "vis_data":
        return
    if file.suffix == ".safetensors":
        load_weights(file)
    elif file.suffix == ".json":
        json.loads(file.read_text())
    elif file.suffix == ".png":
        assert cv2.imread(str(file)) is not None, file
    elif file.name == "faces.npy" and (file.parent / "pack.json").exists():
        PackedFaces(file.parent)


def sizes(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_size for p in folder.rglob("*") if p.is_file()}


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
@pytest.mark.parametrize(
    ("tool", "levels"),
    [("train.py", 1), ("infer.py", 1), *(pytest.param(tool, 20, marks=pytest.mark.long) for tool in TOOLS)],
)
def test_a_full_disk_is_one_sentence(tool, levels, things, tmp_path, counts):
    (tmp_path / "whole").mkdir()
    code, said = run(tool, things, tmp_path / "whole")
    assert code == 0, said
    wanted = sizes(tmp_path / "whole")
    used = sum(-(-size // PAGE) * PAGE for size in wanted.values()) + PAGE * len(wanted)
    counts = counts(f"full disk, {tool}")
    for level in range(counts["cases"], levels):
        share = (level + 0.5) / levels
        with disk(tmp_path / "small", round(used * share)) as mounted:
            most = None if mounted else round(max(wanted.values()) * share)
            code, said = run(tool, things, tmp_path / "small", most)
            assert "Traceback" not in said, said
            assert code in (0, 1, 2), said
            if code == 0:
                assert sizes(tmp_path / "small").keys() >= wanted.keys() - {"restored/results.csv"}
            else:
                assert said.splitlines()[-1].startswith("error: ") or tool == "infer.py", said
            for file in (tmp_path / "small").rglob("*"):
                if file.is_file() and not file.name.endswith(".tmp"):
                    check_whole(file)
        counts.add(cases=1, said_in_one_sentence=bool(code), finished_nevertheless=not code)
    assert counts["said in one sentence"], "no level was too small"
    counts.done()
