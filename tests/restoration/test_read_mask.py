"""A hole said in any form becomes the same mask."""

import numpy as np
import pytest
from PIL import Image

from ofhkit.errors import OfhkitError
from ofhkit.restoration.automatic import find_damage
from ofhkit.restoration.masks import MaskOptions, parse_box, parse_color, read_mask
from ofhkit.restoration.pictures import Picture, to_picture

rng = np.random.default_rng(0)
y, x = np.mgrid[:128, :128]
SMOOTH = np.stack([60 + x, 200 - y, 90 + (x + y) // 3], -1)
RGB = (SMOOTH + rng.integers(-6, 7, SMOOTH.shape)).clip(3, 252).astype(np.uint8)
HOLE = np.zeros((128, 128), bool)
HOLE[40:72, 24:80] = True
PICTURE = Picture("face", RGB)


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


def saved(path, array):
    Image.fromarray(array).save(path)
    return path


@pytest.mark.parametrize(
    "array",
    [
        HOLE,
        HOLE.astype(np.uint8),
        HOLE.astype(np.uint8) * 3,
        HOLE.astype(np.uint8) * 200,
        HOLE.astype(np.uint16) * 65535,
        (HOLE[..., None] * np.array([255, 255, 255])).astype(np.uint8),
        (HOLE[..., None] * np.array([255, 0, 0])).astype(np.uint8),
        np.where(HOLE[..., None], np.array([0, 90, 255]), 255).astype(np.uint8),
        np.dstack([np.full_like(RGB, 30), HOLE * 255]).astype(np.uint8),
        np.where(HOLE[..., None], np.array([255, 0, 255]), RGB).astype(np.uint8),
    ],
    ids=["bool", "0_1", "labels", "grey", "16_bit", "white", "red_on_black", "blue_on_white", "alpha", "painted_copy"],
)
def test_mask_files(tmp_path, array):
    mask = read_mask(PICTURE, MaskOptions(mask=saved(tmp_path / "mask.png", array))).hidden
    assert (mask == HOLE).all()


def test_a_mask_of_another_size_is_resized_and_said_so(tmp_path):
    small = saved(tmp_path / "small.png", (HOLE[::8, ::8] * 255).astype(np.uint8))
    found = read_mask(PICTURE, MaskOptions(mask=small))
    assert (found.hidden == HOLE).all()
    assert "resized from 16x16" in found.found[0]
    large = saved(tmp_path / "large.png", (HOLE.repeat(3, 0).repeat(3, 1) * 255).astype(np.uint8))
    assert (read_mask(PICTURE, MaskOptions(mask=large)).hidden == HOLE).all()
    wide = saved(tmp_path / "wide.png", (HOLE.repeat(2, 1) * 255).astype(np.uint8))
    assert "stretched" in read_mask(PICTURE, MaskOptions(mask=wide)).found[0]


def test_soft_edges_of_a_mask_count_where_they_show(tmp_path):
    soft = np.clip(255 - 20 * np.abs(x - 64), 0, 255).astype(np.uint8)
    mask = read_mask(PICTURE, MaskOptions(mask=saved(tmp_path / "soft.png", soft))).hidden
    assert mask[0, 64]
    assert mask[0, 64 + 10]
    assert not mask[0, 64 + 13]


def test_inverted_masks(tmp_path):
    path = saved(tmp_path / "inverted.png", (~HOLE * 255).astype(np.uint8))
    assert (read_mask(PICTURE, MaskOptions(mask=path, invert=True)).hidden == HOLE).all()
    assert "--invert-mask" in read_mask(PICTURE, MaskOptions(mask=path)).found[0]


def test_a_folder_of_masks(tmp_path):
    saved(tmp_path / "face_mask.png", (HOLE * 255).astype(np.uint8))
    assert (read_mask(PICTURE, MaskOptions(mask=tmp_path)).hidden == HOLE).all()
    with pytest.raises(OfhkitError, match=r"other: .* holds no mask of that name"):
        read_mask(Picture("other", RGB), MaskOptions(mask=tmp_path))


def test_another_colored_picture_is_no_mask(tmp_path):
    other = saved(tmp_path / "other.png", RGB[::-1, ::-1].copy())
    with pytest.raises(OfhkitError, match="another colored picture"):
        read_mask(PICTURE, MaskOptions(mask=other))


def test_transparency_is_a_hole_unless_it_is_denied():
    picture = to_picture(np.dstack([RGB, (~HOLE * 255).astype(np.uint8)]), "face")
    assert (read_mask(picture, MaskOptions()).hidden == HOLE).all()
    assert not read_mask(picture, MaskOptions(mask="none")).hidden.any()
    assert not read_mask(PICTURE, MaskOptions()).hidden.any()


def test_boxes_and_their_errors():
    found = read_mask(PICTURE, MaskOptions(boxes=[(24, 40, 56, 16), (24, 56, 56, 16)]))
    assert (found.hidden == HOLE).all()
    assert read_mask(PICTURE, MaskOptions(boxes=[(-10, -10, 20, 20)])).hidden.sum() == 100
    with pytest.raises(OfhkitError, match="lies outside its 128x128 pixels"):
        read_mask(PICTURE, MaskOptions(boxes=[(200, 0, 5, 5)]))


@pytest.mark.parametrize(
    ("call", "text"),
    [(parse_box, "1,2,3"), (parse_box, "a,b,c,d"), (parse_box, "1,2,0,4"), (parse_color, "1,2"), (parse_color, "red"),
     (parse_color, "1,2,300")],
)  # fmt: skip
def test_what_cannot_be_parsed_is_answered_with_an_example(call, text):
    with pytest.raises(OfhkitError, match=text):
        call(text)


def test_marks_of_a_color_with_soft_edges():
    cover = np.clip((14 - np.hypot(x - 60, y - 50)) / 6 + 0.5, 0, 1)[..., None]  # a brush that fades over six pixels
    painted = np.rint(cover * np.array([0, 255, 0]) + (1 - cover) * RGB).astype(np.uint8)
    mask = read_mask(Picture("face", painted), MaskOptions(colors=[(0, 255, 0, 40)])).hidden
    touched = cover[..., 0] > 0.3
    assert mask[touched].all()
    assert mask.sum() < 1.9 * (cover[..., 0] > 0).sum()
    assert not read_mask(PICTURE, MaskOptions(colors=[(0, 255, 0, 40)])).hidden.any()


@pytest.mark.parametrize("color", [0, 255, (200, 30, 90)])
def test_auto_finds_blocks(color):
    damaged = RGB.copy()
    damaged[HOLE] = color
    mask, found = find_damage(damaged)
    assert (mask == HOLE).all()
    assert found == ("a flat block of 56x32",)


@pytest.mark.parametrize(("part", "name"), [(np.s_[:12], "top"), (np.s_[100:], "bottom"), (np.s_[:, :9], "left"),
                                            (np.s_[:, 120:], "right")])  # fmt: skip
def test_auto_finds_missing_borders(part, name):
    damaged, truth = RGB.copy(), np.zeros((128, 128), bool)
    truth[part] = True
    damaged[truth] = 0
    mask, found = find_damage(damaged)
    assert (mask == truth).all()
    assert found == (f"a missing {name} border",)


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_auto_finds_dropouts(share):
    dropped = rng.random((128, 128)) < share
    damaged = RGB.copy()
    damaged[dropped] = rng.choice([0, 255], dropped.sum())[:, None]
    mask, found = find_damage(damaged)
    assert overlap(mask, dropped) > 0.9
    assert "dropped pixels" in found[0]


def test_auto_finds_a_block_after_jpeg(tmp_path):
    damaged = RGB.copy()
    damaged[HOLE] = (128, 128, 128)
    Image.fromarray(damaged).save(tmp_path / "a.jpg", quality=85)
    assert overlap(find_damage(np.asarray(Image.open(tmp_path / "a.jpg")))[0], HOLE) > 0.8


def test_auto_leaves_whole_pictures_alone():
    assert find_damage(RGB) == (pytest.approx(np.zeros((128, 128))), ())
    assert not find_damage(np.full((20, 20, 3), 9, np.uint8))[0].any()
    walled = RGB.copy()
    walled[:40, :50] = 250 - np.mgrid[:40, :50][1][..., None] // 2  # a bright wall that darkens slowly
    walled[:40, 50:] = 225 - np.mgrid[:40, :78][1][..., None] // 2
    assert not find_damage(walled)[0].any()
    tiny = Picture("tiny", RGB[::8, ::8].copy())
    assert read_mask(tiny, MaskOptions(mask="auto")).found == ("auto: no damage seen",)
