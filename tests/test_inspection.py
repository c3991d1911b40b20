"""Show, diff and lint of configurations, through the tool."""

import subprocess
import sys
from pathlib import Path

import pytest

from ofhkit.config import load_config
from ofhkit.config.inspection import diff, lint, show
from ofhkit.errors import OfhkitError

ROOT = Path(__file__).parents[1]
OFHNET, SYNTHETIC = ROOT / "configs/ofhnet_celeba.py", ROOT / "configs/ofhnet_synthetic.py"


@pytest.mark.slow
def test_show_names_the_file_of_every_value():
    lines = show(SYNTHETIC, {"runtime.seed": 5}).splitlines()
    found = {line.split(" = ")[0]: line.rpartition("  # ")[2] for line in lines}
    assert found["model.upsampler.type"].endswith("configs/ofhnet_celeba.py")
    assert found["model.upsampler.channels"].endswith("configs/ofhnet_synthetic.py")
    assert found["stages.inpainter.optimizer.lr"].endswith("_base_/curriculum.py")
    assert found["stages.inpainter.iterations"].endswith("_base_/synthetic.py")
    assert found["runtime.seed"] == "--cfg-options"
    assert "?" not in found.values()
    assert all(line.startswith("model.upsampler.") for line in show(SYNTHETIC, only="model.upsampler").splitlines())
    with pytest.raises(OfhkitError, match=r"nothing under 'model.upsamler'; did you mean 'model.upsampler'"):
        show(SYNTHETIC, only="model.upsamler")


def test_diff_lists_what_differs_and_nothing_else():
    lines = diff(OFHNET, SYNTHETIC).splitlines()
    assert f"- stages.inpainter.iterations = {load_config(OFHNET).stages.inpainter.iterations}" in lines
    assert "+ stages.inpainter.iterations = 1200" in lines
    assert not any("schedule" in line for line in lines)
    assert diff(OFHNET, OFHNET) == ""


@pytest.mark.slow
def test_lint_says_what_is_wrong(tmp_path):
    bad = tmp_path / "bad.py"
    bad.write_text("runtime = dict(sed=1)")
    assert lint([OFHNET, bad])[OFHNET] is None
    tool = [sys.executable, str(ROOT / "tools/config.py"), "lint", str(OFHNET), str(bad)]
    done = subprocess.run(tool, capture_output=True, text=True, check=False, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 1
    assert f"{OFHNET}: ok" in done.stdout
    assert "did you mean 'seed'?" in done.stdout
