"""Held to the small face: exactly, nearest, inside [0, 1], and with a gradient."""

import pytest
import torch

from ofhkit.functional.resample import confine, dither, downsample_cubic, project


def smooth(count, size, seed, low=0.0, high=1.0):
    g = torch.Generator().manual_seed(seed)
    small = torch.rand(count, 3, 6, 6, generator=g, dtype=torch.float64) * (high - low) + low
    return torch.nn.functional.interpolate(small, size=size, mode="bicubic").clamp(0, 1)


def worst(sr, lr):
    return (downsample_cubic(sr, lr.shape[-1]) - lr).abs().max()


def test_it_is_the_nearest_image_that_shrinks_to_the_small_face():
    sr, lr = smooth(2, 24, 0), smooth(2, 6, 1)
    found = project(sr, lr)
    assert worst(found, lr) < 1e-12
    other = project(found + 0.1 * smooth(2, 24, 2), lr)  # shrinks to it as well
    assert worst(other, lr) < 1e-12
    assert ((found - sr) * (found - other)).sum().abs() < 1e-9  # the correction is orthogonal to all such differences
    assert torch.allclose(project(found, lr), found, atol=1e-12)


@pytest.mark.parametrize("size", [16, 24])
def test_in_float32_it_holds_to_a_millionth(size):
    sr, lr = smooth(4, 8 * size, 0).float(), smooth(4, size, 1).float()
    assert worst(project(sr, lr), lr) <= 1e-6


def test_inside_the_range_it_holds_and_is_nearest():
    hr = smooth(4, 128, 3, -0.3, 1.3)  # dark and bright places: clamping once is not enough
    lr = downsample_cubic(hr)
    sr = hr + 0.3 * (smooth(4, 128, 4) - 0.5)
    assert worst(project(sr, lr).clamp(0, 1), lr) > 1e-2
    found = confine(sr, lr)
    assert found.min() >= 0
    assert found.max() <= 1
    assert worst(found, lr) < 1e-3
    far = confine(sr, lr, rounds=1000)
    assert worst(far, lr) < worst(found, lr)
    assert ((sr - far) * (hr - far)).sum() < 1e-3 * (sr - far).square().sum()  # no way from it towards hr comes nearer


def test_dithered_it_holds_in_eight_bits_in_smooth_places_too():
    slope = 0.3 + 0.02 * smooth(2, 128, 7)
    lr = downsample_cubic(slope)
    rounded = [(image * 255).round() / 255 for image in (slope, dither(slope))]
    assert worst(rounded[0], lr) > 1e-3
    assert worst(rounded[1], lr) < 6e-4
    assert (dither(slope) - slope).abs().max() < 0.5 / 255
    assert dither(torch.ones(1, 1, 9, 9)).mul(255).round().unique().tolist() == [255]


def test_a_gradient_passes():
    sr, lr = smooth(1, 8, 5).requires_grad_(), smooth(1, 4, 6)
    assert torch.autograd.gradcheck(lambda y: project(y, lr), sr)
    inside = 0.3 + 0.4 * smooth(1, 8, 5)
    assert torch.autograd.gradcheck(lambda y: confine(y, lr, 5), inside.requires_grad_())
