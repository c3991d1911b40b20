"""From a true face to what a method may see."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ofhkit.data.degradation import Degradation
from ofhkit.errors import OfhkitError
from ofhkit.functional.face_labels import flip_landmarks
from ofhkit.registry import DEGRADATIONS


def data(n=32, start=0):
    generator = torch.Generator().manual_seed(start)
    return {
        "hr": torch.randint(0, 256, (n, 3, 128, 128), dtype=torch.uint8, generator=generator),
        "landmarks": torch.rand(n, 68, 2, generator=generator) * 127,
        "index": torch.arange(start, start + n),
        "sample_id": torch.arange(start, start + n),
    }


@pytest.fixture
def degrade():
    return DEGRADATIONS.build(dict(type="Degradation"))


def test_lr_is_the_antialiased_cubic_with_a_hole(degrade):
    batch = degrade(data(), training=False)
    hr = data()["hr"].double() / 255
    expected = F.interpolate(hr, (16, 16), mode="bicubic", antialias=True).clamp(0, 1)
    torch.testing.assert_close(batch["lr_gt"].double(), expected, rtol=0, atol=1e-6)
    assert torch.equal(batch["lr"], batch["lr_gt"] * (1 - batch["mask"]))
    assert (batch["lr"][batch["mask"].bool().expand_as(batch["lr"])] == 0).all()


def test_test_holes_depend_on_the_index_alone(degrade):
    whole, part = degrade(data(), training=False), data()
    part = degrade({k: v[[5, 3]] for k, v in part.items()}, training=False)
    assert torch.equal(whole["mask"][[5, 3]], part["mask"])
    other = DEGRADATIONS.build(dict(type="Degradation", seed=7))(data(), training=False)
    assert torch.equal(whole["mask"], other["mask"])  # the training seed does not touch them
    assert torch.equal(whole["hr"], data()["hr"].float() / 255)  # nor is anything flipped


def test_training_randomness_depends_on_seed_and_draw(degrade):
    first, again = degrade(data(), training=True), degrade(data(), training=True)
    assert all(torch.equal(first[k], again[k]) for k in first)
    later = {**data(), "sample_id": torch.arange(100, 132)}
    assert not torch.equal(first["mask"], degrade(later, training=True)["mask"])


def test_flips_mirror_faces_and_landmarks_together(degrade):
    batch, plain = degrade(data(), training=True), degrade(data(), training=False)
    flipped = torch.tensor([not torch.equal(a, b) for a, b in zip(batch["hr"], plain["hr"])])
    assert 4 < flipped.sum() < 28
    assert torch.equal(batch["hr"][flipped], plain["hr"][flipped].flip(-1))
    assert torch.equal(batch["landmarks"][flipped], flip_landmarks(plain["landmarks"][flipped]))
    assert torch.equal(batch["landmarks"][~flipped], plain["landmarks"][~flipped])


def test_parsing_is_flipped_with_left_and_right_exchanged(degrade):
    from ofhkit.functional.face_labels import flip_parsing

    with_parsing = data()
    with_parsing["parsing"] = torch.randint(0, 14, (32, 128, 128), dtype=torch.uint8)
    batch = degrade(dict(with_parsing), training=True)
    plain = data()["hr"].float() / 255
    for i in range(32):
        expected = with_parsing["parsing"][i : i + 1].long()
        if not torch.equal(batch["hr"][i], plain[i]):
            expected = flip_parsing(expected)
        assert torch.equal(batch["parsing"][i], expected[0])


def test_fixed_rectangles_are_the_papers_squares():
    centre = DEGRADATIONS.build(dict(type="FixedRectangle", height=6, width=6))(torch.arange(2), seed=0, size=16)
    expected = np.zeros((16, 16))
    expected[5:11, 5:11] = 1
    assert (centre.numpy() == expected).all()
    corner = DEGRADATIONS.build(dict(type="FixedRectangle", height=8, width=8, top=8, left=0))(torch.arange(1), 0, 16)
    assert corner[0, 0, 8:, :8].all()
    assert corner.sum() == 64


def test_an_impossible_area_is_refused():
    with pytest.raises(OfhkitError, match="min_area <= max_area"):
        DEGRADATIONS.build(dict(type="RandomRectangle", min_area=9, max_area=3))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_mirroring_bytes_is_mirroring_faces_and_leaves_the_data_alone(device):
    hr = torch.randint(0, 256, (7, 3, 6, 5), dtype=torch.uint8)
    mirrored = torch.tensor([1, 0, 0, 1, 1, 0, 0]).bool()
    before = hr.clone()
    if device == "meta":  # any device but the CPU takes the way without waiting
        assert Degradation.true_faces(hr.to(device), mirrored.to(device)).shape == hr.shape
        return
    faces = Degradation.true_faces(hr, mirrored)
    expected = hr.numpy().astype("float32") / 255
    expected[mirrored] = expected[mirrored][..., ::-1]
    assert (faces.numpy() == expected).all()
    assert torch.equal(hr, before)
