"""What a restored photograph must not wait for."""

import subprocess
import sys

DEAR = "torch._dynamo", "torchvision", "sympy", "scipy", "matplotlib", "triton"


def test_restoring_imports_nothing_dear():
    code = f"import sys, ofhkit.restoration.restorer; print(*(name for name in {DEAR} if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
