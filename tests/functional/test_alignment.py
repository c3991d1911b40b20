import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ofhkit.functional.alignment import (
    DEFAULT_TEMPLATE,
    crop_matrix,
    invert,
    outside_fraction,
    similarity,
    transform_points,
    warp,
)

numbers = st.floats(-100, 100)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.05, 20), st.floats(-np.pi, np.pi), numbers, numbers, st.integers(0, 10**6))
def test_similarity_recovers_what_made_the_points(scale, angle, x, y, seed):
    points = np.random.default_rng(seed).normal(0, 10, (6, 2))
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.array([[c, -s, x], [s, c, y]])
    np.testing.assert_allclose(similarity(points, transform_points(matrix, points)), matrix, atol=1e-7, rtol=1e-7)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_similarity_is_the_least_squares_one(seed):
    """Oracle: numpy's linear least squares over the four parameters."""
    rng = np.random.default_rng(seed)
    source, target = rng.normal(0, 10, (2, 5, 2))
    x, y = source.T
    rows = np.r_[np.c_[x, -y, np.ones(5), np.zeros(5)], np.c_[y, x, np.zeros(5), np.ones(5)]]
    a, b, tx, ty = np.linalg.lstsq(rows, target.T.ravel(), rcond=None)[0]
    np.testing.assert_allclose(similarity(source, target), [[a, -b, tx], [b, a, ty]], atol=1e-9)


def test_similarity_batched_in_numpy_and_torch():
    rng = np.random.default_rng(0)
    source, target = rng.normal(size=(3, 4, 5, 2)), rng.normal(size=(5, 2))
    expected = np.array([[similarity(source[i, j], target) for j in range(4)] for i in range(3)])
    np.testing.assert_allclose(similarity(source, np.broadcast_to(target, source.shape)), expected)
    points = torch.from_numpy(source).requires_grad_()
    matrices = similarity(points, torch.from_numpy(target))
    np.testing.assert_allclose(matrices.detach(), expected)
    assert torch.autograd.gradcheck(lambda p: similarity(p, torch.from_numpy(target)), points[0, :1])
    with pytest.raises(ValueError, match="coincide"):
        similarity(np.ones((5, 2)), target)


def test_round_trip_of_points_and_pictures():
    image = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (160, 150, 3)).astype(np.uint8), (0, 0), 4)
    turn = np.array([[1.1 * np.cos(0.1), -1.1 * np.sin(0.1)], [1.1 * np.sin(0.1), 1.1 * np.cos(0.1)]])
    points = np.array(DEFAULT_TEMPLATE) @ turn.T + [2, 3]
    matrix = crop_matrix(points)
    np.testing.assert_allclose(transform_points(matrix, points), DEFAULT_TEMPLATE, atol=1e-9)
    np.testing.assert_allclose(transform_points(invert(matrix), transform_points(matrix, points)), points, atol=1e-9)
    crop = warp(image, matrix)
    back = cv2.warpAffine(crop, invert(matrix), (150, 160), flags=cv2.INTER_CUBIC)
    inside = np.s_[40:110, 40:100]
    assert np.abs(back[inside].astype(int) - image[inside]).mean() < 1


def test_identity_keeps_the_picture_in_place():
    ramp = np.tile(np.arange(128, dtype=np.uint8), (128, 1))[..., None].repeat(3, -1)
    crop = warp(ramp, crop_matrix(DEFAULT_TEMPLATE))
    assert np.abs(crop[:, 2:-2].astype(int) - ramp[:, 2:-2]).max() <= 1
    half = warp(ramp, crop_matrix(DEFAULT_TEMPLATE, size=64), 64).astype(float)
    np.testing.assert_allclose(half[32, 2:-2, 0], np.arange(64)[2:-2] * 2 + 0.5, atol=1)


def test_large_pictures_do_not_alias():
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3)).astype(np.uint8)
    matrix = np.array([[1 / 8, 0, -3.5 / 8], [0, 1 / 8, -3.5 / 8]])
    crop = warp(noise, matrix).astype(float)
    mean = noise.reshape(128, 8, 128, 8, 3).mean((1, 3))
    assert np.corrcoef(crop.ravel(), mean.ravel())[0, 1] > 0.95
    assert crop.std() < 1.2 * mean.std()


@settings(max_examples=25, deadline=None)
@given(st.floats(0.3, 3), st.floats(-3.2, 3.2), st.floats(-60, 60), st.floats(-60, 60))
def test_outside_fraction_counts_what_a_warp_finds_empty(scale, angle, x, y):
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.array([[c, -s, 64 + x], [s, c, 64 + y]])
    matrix[:, 2] -= matrix[:, :2] @ [60, 50]
    white = np.full((101, 121), 255, np.uint8)
    seen = cv2.warpAffine(white, matrix, (128, 128), flags=cv2.INTER_NEAREST)
    assert outside_fraction(matrix, 101, 121) == pytest.approx((seen == 0).mean(), abs=0.02)
