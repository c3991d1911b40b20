"""Every kernel compiles for a GPU that need not be there: the interpreter accepts more than the compiler does."""

import importlib.util
import os

import pytest

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None or os.environ.get("TRITON_INTERPRET") == "1",
    reason="needs Triton's compiler",
)

MAPS = {"x", "y", "w", "w1", "w2", "b1", "b2", "bias", "grad", "dx"}  # in the map's precision
NUMBERS = {"scale", "shift", "of_grad", "of_x", "constant", "sum_grad", "sum_grad_x", "sums", "squares"}  # float32
REDUCING = dict(CHANNELS_LAST=True, STEPS=2, BP=16, BC=16)
BLOCKS = dict(PRECISION="tf32", WIDE=False, BM=64, BN=16, BK=16)
KERNELS = [
    ("triton_norm", "_forward_kernel", dict(CHANNELS_LAST=True, RELU=True, UP=True, BLOCK=256)),
    ("triton_norm", "_forward_kernel", dict(CHANNELS_LAST=False, RELU=False, UP=True, BLOCK=256)),
    ("triton_norm", "_backward_kernel", dict(RELU=True, UP=True, WRITE=True, SUMS=True, **REDUCING)),
    ("triton_norm", "_backward_kernel", dict(RELU=True, UP=False, WRITE=False, SUMS=True, **REDUCING)),
    ("triton_norm", "_moments_kernel", REDUCING),
    ("triton_conv", "_phase_kernel", dict(K=3, REACH=1, ACTIVATION=1, **BLOCKS)),
    ("triton_conv", "_phase_kernel", dict(K=5, REACH=1, ACTIVATION=0, **{**BLOCKS, "WIDE": True})),
    ("triton_conv", "_nine_kernel", dict(ACTIVATION=2, **BLOCKS)),
    ("triton_head", "_head_kernel", dict(PRECISION="tf32", TH=8, TW=16, BK=16, BH=16, BO=16)),
]


@pytest.mark.parametrize(("module", "name", "constants"), KERNELS)
def test_compiles_for_compute_capability_9(module, name, constants):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    precision = "fp32" if module == "triton_norm" or name == "_nine_kernel" else "bf16"
    kernel = getattr(importlib.import_module(f"ofhkit.ops.{module}"), name)

    def kind(argument):
        if argument in constants:
            return "constexpr"
        return f"*{precision}" if argument in MAPS else "*fp32" if argument in NUMBERS else "i32"

    names = kernel.arg_names
    signature = {argument: kind(argument) for argument in names}
    values = {(names.index(argument),): value for argument, value in constants.items()}
    source = ASTSource(kernel, signature, values)
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=dict(num_warps=4, num_stages=2))
    assert len(compiled.asm["cubin"]) > 1000
    assert ".local" not in compiled.asm["ptx"]
