import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from ofhkit.errors import OfhkitError
from ofhkit.functional.image_quality import psnr, ssim

SKIMAGE = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 0, "data_range": 1.0}


def smooth_pair(count=5, size=(64, 80), seed=0):
    """Images with structure at all scales, and noisy, blurred or inverted versions of them."""
    generator = torch.Generator().manual_seed(seed)
    small = torch.rand(count, 3, 8, 8, generator=generator, dtype=torch.float64)
    hr = F.interpolate(small, size, mode="bicubic").clamp(0, 1)
    sr = (0.8 * hr + 0.1 + 0.1 * torch.randn(hr.shape, generator=generator, dtype=torch.float64)).clamp(0, 1)
    sr[0] = 1 - hr[0]  # negative covariance
    return sr, hr


def direct_ssim_map(x, y):
    """The formula as printed: one 11x11 window, five moments about zero."""
    offsets = torch.arange(11, dtype=torch.float64) - 5
    gauss = torch.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    gauss = (gauss / gauss.sum())[None, None]

    def blur(z):
        return F.conv2d(z.flatten(0, 1)[:, None], gauss).reshape(*z.shape[:2], z.shape[2] - 10, z.shape[3] - 10)

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    return (2 * mx * my + 0.01**2) * (2 * cov + 0.03**2) / ((mx**2 + my**2 + 0.01**2) * (vx + vy + 0.03**2))


def test_psnr_agrees_with_scikit_image():
    sr, hr = smooth_pair()
    expected = [peak_signal_noise_ratio(h.numpy(), s.numpy(), data_range=1) for s, h in zip(sr, hr)]
    np.testing.assert_allclose(psnr(sr, hr, 1.0), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(psnr(sr.float(), hr.float(), 1.0), expected, rtol=0, atol=1e-5)


def test_ssim_agrees_with_scikit_image_and_its_map():
    sr, hr = smooth_pair()
    mask = torch.zeros(5, 1, 8, 10)
    mask[:, :, 2:5, 3:10] = 1
    inside = np.kron(mask[0, 0].numpy(), np.ones((8, 8))).astype(bool)[5:-5, 5:-5]
    for i in range(5):
        expected, full = structural_similarity(hr[i].numpy(), sr[i].numpy(), full=True, **SKIMAGE)
        assert ssim(sr, hr, 1.0)[i] == pytest.approx(expected, abs=1e-10)
        assert ssim(sr.float(), hr.float(), 1.0)[i] == pytest.approx(expected, abs=1e-5)
        valid = full[:, 5:-5, 5:-5]
        assert ssim(sr, hr, 1.0, mask)[i] == pytest.approx(valid[:, inside].mean(), abs=1e-10)
        assert ssim(sr, hr, 1.0, 1 - mask)[i] == pytest.approx(valid[:, ~inside].mean(), abs=1e-10)


@pytest.mark.parametrize("chunk", [1, 2, 16])
def test_ssim_equals_the_direct_window(chunk):
    sr, hr = smooth_pair()
    expected = direct_ssim_map(sr, hr).mean((1, 2, 3))
    assert (ssim(sr, hr, 1.0, chunk=chunk) - expected).abs().max() < 1e-12
    assert (ssim(sr.float(), hr.float(), 1.0, chunk=chunk).double() - expected).abs().max() < 1e-7


@pytest.mark.parametrize("size", [(11, 11), (34, 35), (58, 12), (128, 128)])
def test_ssim_of_any_size(size):
    sr, hr = smooth_pair(count=2, size=size)
    assert (ssim(sr, hr, 1.0) - direct_ssim_map(sr, hr).mean((1, 2, 3))).abs().max() < 1e-12
    assert (ssim(sr.float(), hr.float(), 1.0) - ssim(sr, hr, 1.0)).abs().max() < 1e-7


def test_ssim_on_the_byte_scale_is_the_same_number():
    sr, hr = smooth_pair()
    assert torch.allclose(ssim(sr * 255, hr * 255, 255.0), ssim(sr, hr, 1.0), atol=1e-12, rtol=0)


def test_scores_are_exact_under_autocast_and_truncated_matmuls():
    sr, hr = (t.float() for t in smooth_pair())
    expected = ssim(sr.double(), hr.double(), 1.0)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (ssim(sr, hr, 1.0) - expected).abs().max() < 1e-7
    finally:
        torch.set_float32_matmul_precision(before)


def test_psnr_of_a_region_is_that_of_the_cut_out():
    sr, hr = smooth_pair(size=(128, 128))
    mask = torch.zeros(5, 1, 16, 16)
    mask[:, :, 4:9, 6:12] = 1
    cut = (..., slice(32, 72), slice(48, 96))
    assert torch.allclose(psnr(sr, hr, 1.0, mask), psnr(sr[cut], hr[cut], 1.0), atol=1e-12)
    error = ((sr - hr) ** 2).mean((1, 2, 3)) * 128**2 - ((sr[cut] - hr[cut]) ** 2).mean((1, 2, 3)) * 40 * 48
    outside = -10 * torch.log10(error / (128**2 - 40 * 48))
    assert torch.allclose(psnr(sr, hr, 1.0, 1 - mask), outside, atol=1e-12)


def test_extremes():
    hr = torch.rand(2, 3, 16, 16)
    assert torch.isinf(psnr(hr, hr, 1.0)).all()
    assert torch.allclose(ssim(hr, hr, 1.0), torch.ones(2))
    assert torch.isnan(psnr(hr, 1 - hr, 1.0, torch.zeros(2, 1, 2, 2))).all()
    assert torch.isnan(psnr(hr * torch.nan, hr, 1.0)).all()
    assert psnr(hr[:0], hr[:0], 1.0).shape == ssim(hr[:0], hr[:0], 1.0).shape == (0,)


def test_ssim_can_be_a_loss():
    sr, hr = (t[:, :1] for t in smooth_pair(count=1, size=(12, 11)))
    assert torch.autograd.gradcheck(lambda x: ssim(x, hr, 1.0), sr.requires_grad_(), nondet_tol=1e-12)


def test_bad_shapes_are_refused():
    small, hr = torch.rand(1, 3, 10, 64), torch.rand(1, 3, 64, 64)
    with pytest.raises(OfhkitError, match="at least 11x11"):
        ssim(small, small, 1.0)
    with pytest.raises(OfhkitError, match="equal batches"):
        psnr(small, hr, 1.0)
    with pytest.raises(OfhkitError, match="does not belong"):
        psnr(hr, hr, 1.0, torch.ones(1, 1, 15, 16))
    with pytest.raises(OfhkitError, match="does not belong"):
        ssim(hr, hr, 1.0, torch.ones(2, 1, 16, 16))
