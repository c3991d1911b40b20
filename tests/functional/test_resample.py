import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ofhkit.errors import OfhkitError
from ofhkit.functional.resample import cubic_matrix, downsample_cubic, upsample_bicubic


@pytest.mark.parametrize(("shape", "size"), [((3, 3, 128, 128), 16), ((2, 1, 96, 61), 16), ((1, 3, 50, 50), 21)])
def test_downsampling_equals_torch_antialiased_bicubic(shape, size):
    hr = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(hr, (size, size), mode="bicubic", align_corners=False, antialias=True)
    assert (downsample_cubic(hr, size) - expected).abs().max() < 1e-12


def test_downsampling_is_exact_under_autocast_and_truncated_matmuls():
    hr = torch.rand(2, 3, 128, 128)
    expected = downsample_cubic(hr.double()).float()
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (downsample_cubic(hr) - expected).abs().max() < 1e-6
    finally:
        torch.set_float32_matmul_precision(before)


def test_matrix_first_made_in_inference_mode_still_lets_gradients_pass():
    with torch.inference_mode():
        downsample_cubic(torch.rand(1, 1, 44, 44), 11)
    hr = torch.rand(1, 1, 44, 44, requires_grad=True)
    downsample_cubic(hr, 11).sum().backward()
    assert torch.allclose(hr.grad.sum(), torch.tensor(121.0))


def test_tracing_leaves_no_fake_matrix_behind():
    with torch._subclasses.FakeTensorMode():
        downsample_cubic(torch.rand(1, 1, 52, 52), 13)
    assert torch.isfinite(downsample_cubic(torch.rand(1, 1, 52, 52), 13)).all()


def test_rows_sum_to_one():
    np.testing.assert_allclose(cubic_matrix(128, 16).sum(1), 1, atol=1e-15)


def test_upsampling_has_torchs_coefficient():
    step = torch.zeros(1, 1, 8, 8)
    step[..., 4:] = 1
    row = upsample_bicubic(step, 2)[0, 0, 8]
    a, t = -0.75, 0.25  # output column 8 lies at 3.75: the taps 4 and 5 are the step's, at distances t and 1 + t
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * (1 + t) ** 3 - 5 * a * (1 + t) ** 2 + 8 * a * (1 + t) - 4 * a
    assert row[8] == pytest.approx(near + far, abs=1e-6)


def test_wrong_types_are_refused():
    with pytest.raises(OfhkitError, match="divide uint8 images by 255"):
        downsample_cubic(torch.zeros(1, 3, 128, 128, dtype=torch.uint8))
