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


SHAPES = ("Strokes", "Ellipse", "Sunglasses", "SurgicalMask", "Hand", "Text", "Dropouts")
PAINTS = ("FlatPaint", "NoisePaint", "TexturePaint", "OtherFacePaint")


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_are_functions_of_seed_and_key_at_both_sizes(shape):
    occluder = DEGRADATIONS.build(dict(type=shape))
    keys = torch.arange(8)
    fine, small = occluder(keys, 3, 128), occluder(keys, 3, 16)
    assert fine.shape == (8, 1, 128, 128)
    assert torch.equal(small, (torch.nn.functional.avg_pool2d(fine, 8) >= 1 / 8).float())
    assert torch.equal(occluder(keys[5:], 3, 16), small[5:])
    assert not torch.equal(occluder(keys, 4, 16), small)
    assert 0.01 < fine.mean() < 0.4
    assert fine.flatten(1).any(1).all()


@pytest.mark.parametrize("paint", PAINTS)
def test_what_is_painted_hides_the_face_before_it_is_shrunk(paint):
    hr = torch.randint(0, 256, (4, 3, 128, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    degrade = DEGRADATIONS.build(dict(type="Degradation", occluder=dict(type="Ellipse"), paint=dict(type=paint)))
    batch = {"hr": hr, "index": torch.arange(4)}
    found = degrade(dict(batch))
    hidden = DEGRADATIONS.build(dict(type="Ellipse"))(torch.arange(4), 0, 128).expand(-1, 3, -1, -1) > 0
    changed = torch.where(hidden, 255 - hr, hr)  # another face under the same hole
    again = degrade({**batch, "hr": changed})
    if paint != "OtherFacePaint":
        assert torch.equal(found["lr"], again["lr"])  # nothing beside the hole tells
    assert not torch.equal(found["lr_gt"], again["lr_gt"])
    assert torch.equal(found["lr"], found["occluded"] * (1 - found["mask"]))


def test_noise_and_jpeg_come_before_the_shrinking_and_only_with_paint():
    hr = torch.full((2, 3, 128, 128), 100, dtype=torch.uint8)
    paint = dict(type="FlatPaint")
    batch = {"hr": hr, "index": torch.arange(2)}
    clean = DEGRADATIONS.build(dict(type="Degradation", paint=paint))(dict(batch))
    noisy = DEGRADATIONS.build(dict(type="Degradation", paint=paint, noise=0.1))(dict(batch))
    coded = DEGRADATIONS.build(dict(type="Degradation", paint=paint, jpeg=5))(dict(batch))
    far = clean["mask"].bool()
    assert 0.005 < (noisy["lr"] - clean["lr"]).std() < 0.03
    assert 0 < (coded["occluded"] - clean["occluded"]).abs().max() < 0.5
    assert torch.equal(noisy["mask"].bool(), far)
    with pytest.raises(OfhkitError, match="noise and jpeg belong to painted faces"):
        DEGRADATIONS.build(dict(type="Degradation", noise=0.1))
    with pytest.raises(OfhkitError, match="jpeg 1 to 100, got None and 101"):
        DEGRADATIONS.build(dict(type="Degradation", paint=paint, jpeg=101))


def test_one_of_several_parts_is_chosen_for_every_key():
    parts = [dict(type="RandomRectangle"), dict(type="Text")]
    chosen = DEGRADATIONS.build(dict(type="Choice", parts=parts))
    keys = torch.arange(40)
    both = [DEGRADATIONS.build(part)(keys, 0, 128) for part in parts]
    found = chosen(keys, 0, 128)
    same = [[torch.equal(a, b) for a, b in zip(found, one)] for one in both]
    assert all(map(any, zip(*same)))
    assert min(map(sum, same)) > 8
