"""The check of the parser against landmarks."""

import pytest
import torch
from benchmarks.parser_check import PLACES, check_parser
from torch import nn

from ofhkit.functional.face_labels import PARSING_LABELS
from ofhkit.rendering import SyntheticFaces


class Told(nn.Module):
    """Answers with given labels."""

    def __init__(self, labels):
        super().__init__()
        self.labels = labels

    def forward(self, hr):
        return nn.functional.one_hot(self.labels, len(PARSING_LABELS)).permute(0, 3, 1, 2)


@pytest.mark.slow
def test_true_labels_are_right_and_constant_ones_where_they_are():
    faces = SyntheticFaces(6, split="test", cache=False)
    labels = torch.stack([torch.as_tensor(faces[i]["parsing"]).long() for i in range(6)])
    told = check_parser(Told(labels), faces)
    assert told["mean"] > 85
    skin = check_parser(Told(torch.full_like(labels, PARSING_LABELS.index("skin"))), faces)
    assert {place for place in PLACES if skin[place] == 100} == {"left cheek", "right cheek"}
    assert sum(skin[place] for place in PLACES) == 200
