"""Where the kernels in C can be expected: a compiler is there, so a kernel that does not compile fails its tests."""

import os

import pytest

from ofhkit.ops import jit_c

needs_compiler = pytest.mark.skipif(
    jit_c.compiler() is None or os.environ.get(jit_c.VARIABLE, "0") not in ("", "0"),
    reason="no C compiler here, or its use is forbidden",
)
