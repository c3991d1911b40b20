"""Faces are found in spite of a hole, where a person says, and not where the detector is unsure."""

import numpy as np
import pytest
from skimage import data

from ofhkit.errors import OfhkitError
from ofhkit.functional.alignment import transform_points
from ofhkit.restoration.faces import BOX_CENTER, FaceFinder

PHOTO = np.ascontiguousarray(data.astronaut()[:260, 80:380])
NOTHING = np.zeros(PHOTO.shape[:2], bool)


def eyes_hidden():
    mask = NOTHING.copy()
    mask[100:135, 85:205] = True
    return np.where(mask[..., None], 0, PHOTO).astype(np.uint8), mask


def test_a_face_with_hidden_eyes_is_found_where_it_is():
    finder = FaceFinder()
    (_, (truth,)), (_, (found,)) = finder.find(PHOTO, NOTHING), finder.find(*eyes_hidden())
    corners = np.array([[90.0, 80], [190, 80], [90, 180], [190, 180]])
    assert np.abs(transform_points(found, corners) - transform_points(truth, corners)).max() < 14


def test_a_face_is_taken_where_it_is_said_to_be():
    finder, box = FaceFinder(), (85, 75, 115, 110)
    (_, (truth,)), (boxes, (told,)) = finder.find(PHOTO, NOTHING), finder.place(PHOTO, NOTHING, [box])
    assert boxes.tolist() == [[*box, 1.0]]
    assert np.abs(told - truth)[:, 2].max() < 12
    grey = np.full_like(PHOTO, 120)
    _, (blind,) = finder.place(grey, NOTHING, [box])
    assert np.allclose(blind @ (85 + 115 / 2, 75 + 110 / 2, 1), BOX_CENTER)


def test_finds_below_the_confidence_are_dropped():
    assert len(FaceFinder(confidence=0.5).find(PHOTO, NOTHING)[0]) == 1
    assert len(FaceFinder(confidence=0.999).find(PHOTO, NOTHING)[0]) == 0
    with pytest.raises(OfhkitError, match="confidence must lie between 0 and 1, got 2"):
        FaceFinder(confidence=2)
