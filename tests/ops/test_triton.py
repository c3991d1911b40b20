"""Triton's kernels on the CPU, through its interpreter: the switch must be set before Triton is imported."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "interpreted"
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")


@pytest.mark.slow
@needs_triton
@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("check_*.py")))
def test_under_the_interpreter(name):
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-o",
        "python_functions=check_*",
        "-o",
        "addopts=",
        "-p",
        "no:cacheprovider",
        str(FOLDER / name),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "passed" in done.stdout


@pytest.mark.slow
def test_without_triton_the_torch_path_gives_the_same():
    code = """
import sys, torch
sys.modules["triton"] = None
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "triton" else find(name, *a)
from ofhkit import ops
from ofhkit.ops.upsample_conv import IMPLEMENTATIONS
x, weight = torch.rand(2, 3, 4, 5), torch.rand(6, 3, 3, 3)
plain = ops.upsample_conv2d(x, weight, implementation="plain")
for name in IMPLEMENTATIONS:
    assert torch.allclose(ops.upsample_conv2d(x, weight, implementation=name), plain, atol=1e-5), name
    assert torch.allclose(ops.UpsampledBatchNorm2d(3, implementation=name)(x),
                          torch.nn.BatchNorm2d(3)(x), atol=1e-5), name
"""
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
