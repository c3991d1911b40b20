import numpy as np
import pytest
import torch

from ofhkit.functional.precision import constant, measuring_dtype, no_autocast


@pytest.fixture
def old_switch():
    before = torch.get_float32_matmul_precision()
    yield torch.set_float32_matmul_precision
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("setting", ["high", "medium"])
def test_truncated_products_call_for_float64(old_switch, setting):
    single = torch.zeros(1)
    assert measuring_dtype(single) is torch.float32
    assert measuring_dtype(single, single.double()) is torch.float64
    assert measuring_dtype(torch.zeros(1, dtype=torch.uint8)) is torch.float32
    old_switch(setting)
    assert measuring_dtype(single) is torch.float64


@pytest.mark.skipif(not hasattr(torch.backends.mkldnn, "matmul"), reason="torch without the newer switches")
def test_the_newer_switches_count_too():
    before = torch.backends.mkldnn.matmul.fp32_precision
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    try:
        assert measuring_dtype(torch.zeros(1)) is torch.float64
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = before
    assert measuring_dtype(torch.zeros(1)) is torch.float32


def test_constants_are_built_once_a_type():
    calls = []

    def build():
        calls.append(1)
        return np.eye(3)

    first = constant(("test", 3), build, torch.float32, torch.device("cpu"))
    assert constant(("test", 3), build, torch.float32, torch.device("cpu")) is first
    assert constant(("test", 3), build, torch.float64, torch.device("cpu")).dtype is torch.float64
    assert len(calls) == 2


def test_autocast_is_off_inside():
    x = torch.rand(4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (x @ x).dtype is torch.bfloat16
        with no_autocast(x.device):
            assert (x @ x).dtype is torch.float32
