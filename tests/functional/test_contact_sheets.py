import numpy as np

from ofhkit.functional.face_labels import PARSING_LABELS
from ofhkit.functional.images import _COLORS, contact_sheet


def test_cells_are_the_faces_in_reading_order():
    faces = np.random.default_rng(0).integers(0, 255, (5, 3, 6, 6)).astype(np.uint8)
    sheet = contact_sheet(faces, columns=3, scale=2)
    assert sheet.shape == (24, 36, 3)
    assert np.array_equal(sheet[12:24:2, 12:24:2], faces[4].transpose(1, 2, 0))
    assert (sheet[12:, 24:] == 255).all()  # the empty cell


def test_labels_follow_their_face():
    faces = np.zeros((2, 3, 8, 8), np.uint8)
    points = np.full((2, 1, 2), 3.0)
    labels = np.ones((2, 8, 8), np.uint8)
    sheet = contact_sheet(faces, columns=4, landmarks=points, parsing=labels)
    assert sheet.shape == (8, 32, 3)
    assert (sheet[:, :8] == 0).all()
    assert tuple(sheet[3, 8 + 3]) == (0, 255, 0)
    assert np.abs(sheet[7, 8 + 7].astype(int) - 0.55 * _COLORS[1]).max() <= 1


def test_every_label_has_its_own_color():
    assert len({tuple(c) for c in _COLORS.tolist()}) == len(PARSING_LABELS)
