"""Contact sheets put faces where they belong."""

import numpy as np

from ofhkit.functional.images import contact_sheet


def test_cells_are_the_faces_in_reading_order():
    faces = np.random.default_rng(0).integers(0, 255, (5, 6, 6, 3)).astype(np.uint8)
    sheet = contact_sheet(faces, columns=3)
    assert sheet.shape == (12, 18, 3)
    assert np.array_equal(sheet[6:12, 6:12], faces[4])
    assert (sheet[6:, 12:] == 255).all()  # the empty cell
