"""Holes and counter-based randomness."""

import numpy as np
import pytest
import torch

from ofhkit.errors import OfhkitError
from ofhkit.functional.masks import hash_integers, hash_uint32, paste, random_rectangles, rectangle_mask


def boxes(masks: torch.Tensor) -> np.ndarray:
    """(N, 4) top, left, height, width; fails unless every mask is one filled rectangle."""
    found = []
    for mask in masks[:, 0].numpy():
        ys, xs = np.nonzero(mask)
        top, left, height, width = ys.min(), xs.min(), np.ptp(ys) + 1, np.ptp(xs) + 1
        assert height * width == len(ys)
        found.append((top, left, height, width))
    return np.array(found)


def test_holes_have_the_papers_area():
    b = boxes(random_rectangles(torch.arange(4000), seed=3))
    area = b[:, 2] * b[:, 3]
    assert area.min() == 17 or area.min() == 18
    assert 60 <= area.max() <= 63
    assert (b[:, 2:] >= 3).all()


def test_holes_are_distributed_as_redrawn_sides_would_be():
    """The same distribution as drawing sides 3..16 until the area fits (mean area, side and position)."""
    b = boxes(random_rectangles(torch.arange(20_000), seed=0))
    rng = np.random.default_rng(0)
    sides = rng.integers(3, 17, (200_000, 2))
    sides = sides[(sides.prod(1) > 16) & (sides.prod(1) < 64)]
    assert abs((b[:, 2] * b[:, 3]).mean() - sides.prod(1).mean()) < 0.4
    assert abs(b[:, 2].mean() - sides[:, 0].mean()) < 0.1
    assert abs((b[:, 0] + b[:, 2] / 2).mean() - 8) < 0.1


def test_a_hole_depends_on_its_key_alone():
    keys = torch.tensor([5, 9, 5, 123_456_789_012])
    masks = random_rectangles(keys, seed=1)
    assert torch.equal(masks[0], masks[2])
    assert torch.equal(masks[1:2], random_rectangles(keys[1:2], seed=1))
    assert not torch.equal(masks, random_rectangles(keys, seed=2))


def test_limits_that_no_hole_keeps_are_named():
    with pytest.raises(OfhkitError, match=r"no hole of 17 to 63 pixels .* fits into 4x4"):
        random_rectangles(torch.arange(2), seed=0, size=4)


def test_rectangle_against_slices():
    expected = torch.zeros(1, 1, 16, 16)
    expected[0, 0, 2:6, 3:10] = 1
    assert torch.equal(rectangle_mask(*torch.tensor([[2], [3], [4], [7]])), expected)


def test_hash_against_an_independent_implementation():
    """The mixing function in Python integers."""

    def mix(x):
        x = (x ^ (x >> 16)) * 0x7FEB352D % 2**32
        x = (x ^ (x >> 15)) * 0x846CA68B % 2**32
        return x ^ (x >> 16)

    def expected(seed, key, stream):
        h = mix(seed % 2**32 ^ (seed >> 32))
        h = mix((h + stream + 0x9E3779B9) % 2**32)
        h = mix(h ^ key % 2**32)
        return mix((h + (key >> 32)) % 2**32)

    keys = [0, 1, 2**31, 2**32 + 7, 10**15]
    for seed in (0, 1, 2**40 + 3):
        assert hash_uint32(seed, torch.tensor(keys), 5).tolist() == [expected(seed, k, 5) for k in keys]


def test_hash_is_uniform_and_its_streams_are_independent():
    keys = torch.arange(100_000)
    counts = torch.bincount(hash_integers(10, 0, keys), minlength=10)
    assert (counts - 10_000).abs().max() < 400  # 4 sigma
    u, v = (hash_integers(2**24, 0, keys, stream).float() for stream in (0, 1))
    assert abs(torch.corrcoef(torch.stack((u, v)))[0, 1]) < 0.02
    assert abs(torch.corrcoef(torch.stack((u[1:], u[:-1])))[0, 1]) < 0.02


def test_pasted_pixels_are_bit_equal():
    known, filled = torch.rand(2, 8, 3, 16, 16)
    mask = random_rectangles(torch.arange(8), seed=0)
    pasted = paste(known, filled, mask)
    hole = mask.bool().expand_as(known)
    assert torch.equal(pasted[~hole], known[~hole])
    assert torch.equal(pasted[hole], filled[hole])
