import numpy as np
import pytest
import torch

from ofhkit.functional.face_labels import PARSING_FLIP, PARSING_LABELS, flip_parsing


def test_flip_table_swaps_the_names_left_and_right():
    for value, name in enumerate(PARSING_LABELS):
        mirrored = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert PARSING_LABELS[PARSING_FLIP[value]] == mirrored


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_flip_is_an_involution_and_moves_columns(make):
    labels = make(np.random.default_rng(0).integers(0, len(PARSING_LABELS), (3, 5, 7)).astype(np.uint8))
    flipped = flip_parsing(labels)
    assert (flip_parsing(flipped) == labels).all()
    assert flipped.dtype == labels.dtype
    for row in range(5):
        for column in range(7):
            assert int(flipped[1, row, column]) == PARSING_FLIP[int(labels[1, row, 6 - column])]
