import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ofhkit.functional.face_labels import FLIP_68, five_points, flip_landmarks

MIRRORED = """
0-16 1-15 2-14 3-13 4-12 5-11 6-10 7-9 8-8 17-26 18-25 19-24 20-23 21-22 27-27 28-28 29-29 30-30 31-35 32-34
33-33 36-45 37-44 38-43 39-42 40-47 41-46 48-54 49-53 50-52 51-51 55-59 56-58 57-57 60-64 61-63 62-62 65-67 66-66"""


def test_flip_order_against_a_written_list():
    expected = list(range(68))
    for pair in MIRRORED.split():
        a, b = map(int, pair.split("-"))
        expected[a], expected[b] = b, a
    assert list(FLIP_68) == expected
    assert sorted(FLIP_68) == list(range(68))


def test_flip_moves_a_lopsided_face_to_its_mirror_image():
    """A face whose left eye is higher: mirrored, the right eye must be."""
    face = np.zeros((68, 2))
    face[:, 0] = 64
    lids = np.array([(-6, 0), (-2, -3), (2, -3), (6, 0), (2, 3), (-2, 3)])
    face[36:42], face[42:48] = lids + np.array([40, 30]), lids + np.array([88, 36])
    flipped = flip_landmarks(face)
    assert flipped[36].tolist() == [127 - 94, 36]  # the outer corner of the eye that was on the right
    assert flipped[37].tolist() == [127 - 90, 33]  # upper lid stays above
    assert flipped[41].tolist() == [127 - 90, 39]  # lower lid stays below
    assert flipped[45].tolist() == [127 - 34, 30]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([5, 68]), st.integers(1, 300), st.integers(0, 10**6))
def test_flip_is_an_involution(count, width, seed):
    points = np.random.default_rng(seed).uniform(0, 128, (3, count, 2))
    np.testing.assert_allclose(flip_landmarks(flip_landmarks(points, width), width), points, atol=1e-9)
    np.testing.assert_allclose(flip_landmarks(torch.from_numpy(points), width), flip_landmarks(points, width))


def test_five_points_commute_with_the_flip():
    points = np.random.default_rng(0).uniform(0, 128, (4, 68, 2))
    np.testing.assert_allclose(five_points(flip_landmarks(points)), flip_landmarks(five_points(points)), atol=1e-9)
    np.testing.assert_allclose(five_points(torch.from_numpy(points)), five_points(points))
    assert five_points(points)[0, 2].tolist() == points[0, 30].tolist()


def test_other_counts_are_refused():
    with pytest.raises(ValueError, match="68 or 5 points, got 17"):
        flip_landmarks(np.zeros((17, 2)))
