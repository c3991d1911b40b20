from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from ofhkit.errors import OfhkitError
from ofhkit.functional.geometry import iou
from ofhkit.models.losses import ParsingLoss
from ofhkit.models.parsers import FaceParser
from ofhkit.rendering import SyntheticFaces


def test_parameter_count_by_hand():
    def block(before, after):
        return 9 * before * after + 2 * after  # convolution without bias, batch normalisation

    widths = (8, 24, 48, 64, 96)
    down = sum(block(a, b) + block(b, b) for a, b in pairwise(widths))
    up = sum(block(a + b, a) for a, b in pairwise(widths))
    expected = block(3, 8) + down + up + 8 * 16 + 16
    assert sum(p.numel() for p in FaceParser().parameters()) == expected
    assert expected * 4 < 4e6  # bytes: it ships with the package


def test_every_output_sees_the_whole_neighbourhood_and_fine_detail():
    torch.manual_seed(0)
    parser = FaceParser(num_classes=5, channels=(4, 8, 8)).double().eval()
    hr = torch.rand(1, 3, 32, 48, dtype=torch.float64, requires_grad=True)
    logits = parser(hr)
    assert logits.shape == (1, 5, 32, 48)
    logits[0, :, 16, 24].sum().backward()
    seen = hr.grad.abs().amax((0, 1)) > 0
    assert seen[16, 24]
    assert seen[16 - 6, 24 + 6]


def test_learns_a_picture():
    torch.manual_seed(0)
    parser, loss = FaceParser(num_classes=3, channels=(8, 8, 8)), ParsingLoss()
    hr = torch.rand(2, 3, 32, 32)
    parsing = (hr[:, 0] * 2.999).byte()
    optimizer = torch.optim.Adam(parser.parameters(), lr=1e-2)
    values = []
    for _ in range(40):
        value = loss(parser(hr), parsing)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert loss.needs() == ["parsing_logits", "parsing"]
    assert values[-1] < 0.5 * values[0]


def test_weights_that_do_not_ship_are_refused():
    with pytest.raises(OfhkitError, match="no asset"):
        FaceParser(weights="face_parser.safetensor")
    assert isinstance(FaceParser(channels=(4, 4)).classify, nn.Conv2d)


@pytest.mark.parametrize("balance", [0, 0.5, 1])
def test_the_loss_is_the_weighted_mean_of_the_pixels(balance):
    logits = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 3] * 3).reshape(2, 3, 5)
    likelihood = -torch.log_softmax(logits, 1).numpy()
    counts = np.bincount(labels.flatten(), minlength=4)
    weight = np.array([float(c) ** -balance if c else 0 for c in counts])[labels]
    rows = np.take_along_axis(likelihood, labels.numpy()[:, None], 1)[:, 0]
    expected = (weight * rows).sum() / weight.sum()
    assert ParsingLoss(balance=balance)(logits, labels).item() == pytest.approx(expected, rel=1e-12)


def test_the_shipped_parser_knows_rendered_faces():
    faces = SyntheticFaces(8, seed=5, split="test", cache=False)
    items = [faces[i] for i in range(8)]
    hr, truth = (torch.stack([torch.as_tensor(item[key]) for item in items]) for key in ("hr", "parsing"))
    with torch.no_grad():
        labels = FaceParser(weights="face_parser.safetensors").eval()(hr.float() / 255).argmax(1)
    assert iou(labels, truth.long(), 16).mean() > 0.65
