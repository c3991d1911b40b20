"""A hole is filled without a seam, and nothing outside it changes by a bit."""

import numpy as np
import pytest
import torch
from benchmarks.photographs import seam_contrast

from ofhkit.restoration.blending import fill_hole, membrane
from ofhkit.restoration.faces import scaling


def picture(size=256, bands=3, deep=False):
    y, x = np.mgrid[:size, :size] / size
    smooth = 90 + 60 * np.sin(3 * x + 2 * y)[..., None] + 20 * np.arange(bands) + 20 * np.cos(7 * y)[..., None]
    noisy = smooth + np.random.default_rng(0).normal(0, 2, smooth.shape)
    return (
        (noisy * (257 if deep else 1)).round().clip(0, 65535 if deep else 255).astype(np.uint16 if deep else np.uint8)
    )


def hole(size=256):
    out = np.zeros((size, size), bool)
    out[size // 3 : size // 2, size // 4 : size // 2] = True
    return out


def crop_of(image):
    return image.reshape(128, image.shape[0] // 128, 128, -1, image.shape[2]).mean((1, 3)).round().astype(np.uint8)


@pytest.mark.parametrize(("bands", "deep"), [(1, False), (2, False), (3, False), (4, False), (3, True), (4, True)])
def test_outside_the_hole_every_bit_stays(bands, deep):
    before, mask = picture(bands=bands, deep=deep), hole()
    completed = np.full((128, 128, 3), 99, np.uint8)
    after = fill_hole(before.copy(), completed, scaling(256), mask)
    assert after.dtype == before.dtype
    assert np.array_equal(after[~mask], before[~mask])
    assert (after[mask] != before[mask]).any()
    if bands in (2, 4):
        assert (after[mask][:, -1] == np.iinfo(before.dtype).max).all()


@pytest.mark.parametrize("size", [128, 256, 640])
def test_another_exposure_of_the_same_face_leaves_no_seam(size):
    truth, mask = picture(size), hole(size)
    damaged = np.where(mask[..., None], 0, truth).astype(np.uint8)
    brighter = crop_of(truth) + np.uint8(25)
    after = fill_hole(damaged, brighter, scaling(size), mask)
    plain = np.where(mask[..., None], np.kron(brighter, np.ones((size // 128,) * 2 + (1,), np.uint8)), truth)
    as_tensor = [torch.from_numpy(x.astype(np.float32)).permute(2, 0, 1)[None] for x in (after, plain, truth)]
    edge = torch.from_numpy(mask.astype(np.float32))[None, None]
    assert seam_contrast(as_tensor[1], as_tensor[2], edge) > 3
    assert 0.6 < seam_contrast(as_tensor[0], as_tensor[2], edge) < 1.4


def test_a_hole_beyond_the_crop_is_filled_and_one_elsewhere_stays():
    before, mask = picture(), np.zeros((256, 256), bool)
    mask[100:140, 20:100], mask[230:240, 230:240] = True, True
    damaged = np.where(mask[..., None], 0, before).astype(np.uint8)
    matrix = scaling(128)
    matrix[:, 2] -= 64  # the crop covers rows and columns 64 to 192
    after = fill_hole(damaged, before[64:192, 64:192], matrix, mask)
    assert np.abs(after[100:140, 20:100].astype(int) - before[100:140, 20:100]).mean() < 12
    assert (after[230:240, 230:240] == 0).all()


def test_grain_is_the_face_s_own_and_the_same_every_time():
    before, mask = picture(), hole()
    smooth = crop_of(np.full_like(before, 120))
    one, two = (fill_hole(before.copy(), smooth, scaling(256), mask) for _ in range(2))
    assert np.array_equal(one, two)
    inner = np.zeros_like(mask)
    inner[100:112, 80:110] = True
    assert 1 < one[inner].astype(float).std(0).mean() < 4
    flat = np.full_like(before, 120)
    assert fill_hole(flat.copy(), smooth, scaling(256), mask)[inner].std() < 0.5


def test_a_membrane_takes_known_values_and_is_smooth_between():
    known = np.ones((40, 40), bool)
    known[5:35, 5:35] = False
    ramp = np.repeat(np.linspace(0, 39, 40, dtype=np.float32)[None], 40, 0)[..., None]
    out = membrane(ramp, known)
    assert np.array_equal(out[known], ramp[known])
    assert np.abs(out - ramp).max() < 6
