"""Every odd picture is read as it looks, or refused in one sentence that names the file."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from ofhkit.data import picture_checks as checks
from ofhkit.errors import OfhkitError
from ofhkit.restoration.pictures import read_pictures

y, x = np.mgrid[:40, :60]
RGB = np.stack([4 * x, 6 * y, 255 - 4 * x], -1).astype(np.uint8)
GREY = RGB[..., 0]
IMAGE = Image.fromarray(RGB)


def only(path):
    (picture,) = read_pictures(path)
    return picture


@pytest.mark.parametrize(
    ("name", "image", "expected", "tolerance"),
    [
        ("rgb.png", IMAGE, RGB, 0),
        ("rgb.webp", IMAGE, RGB, 30),
        ("rgb.bmp", IMAGE, RGB, 0),
        ("grey.png", Image.fromarray(GREY), GREY[..., None].repeat(3, -1), 0),
        ("one_bit.png", IMAGE.convert("1"), None, 0),
        ("palette.png", IMAGE.quantize(256), RGB, 40),
        ("cmyk.jpg", IMAGE.convert("CMYK"), RGB, 40),
        ("cmyk.tif", IMAGE.convert("CMYK"), RGB, 3),
        ("lab.tif", Image.merge("LAB", [Image.fromarray(GREY)] * 3), None, 0),
        ("grey16.png", Image.fromarray(GREY.astype(np.uint16) * 257), GREY[..., None].repeat(3, -1), 0),
        ("grey32.tif", Image.fromarray(GREY.astype(np.int32)), GREY[..., None].repeat(3, -1), 0),
        ("float.tif", Image.fromarray(GREY.astype(np.float32) / 255), GREY[..., None].repeat(3, -1), 1),
        ("grey_alpha.png", Image.merge("LA", [Image.fromarray(GREY)] * 2), GREY[..., None].repeat(3, -1), 0),
        ("Gesicht – 顔 ü.png", IMAGE, RGB, 0),
        ("pixel.png", Image.fromarray(RGB[:1, :1]), RGB[:1, :1], 0),
    ],
)
def test_modes(tmp_path, name, image, expected, tolerance):
    image.save(tmp_path / name, **({"quality": 98} if name.endswith(("jpg", "webp")) else {}))
    picture = only(tmp_path / name)
    assert picture.name == (tmp_path / name).stem
    assert picture.rgb.dtype == np.uint8
    assert picture.rgb.shape == (image.height, image.width, 3)
    assert (picture.alpha is not None) == (name == "grey_alpha.png")
    if expected is not None:
        assert np.abs(picture.rgb.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_color(tmp_path, suffix):
    path = tmp_path / f"deep{suffix}"
    cv2.imwrite(str(path), RGB[..., ::-1].astype(np.uint16) * 257)
    assert np.abs(only(path).rgb.astype(int) - RGB).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_says_what_is_up(tmp_path, orientation):
    undo = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
            7: "TRANSVERSE", 8: "ROTATE_270"}  # fmt: skip
    stored = IMAGE.transpose(Image.Transpose[undo[orientation]]) if orientation > 1 else IMAGE
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)
    picture = only(tmp_path / "turned.png")
    assert (picture.rgb == RGB).all()
    assert bool(picture.notes) == (orientation > 1)


def test_transparency_is_kept_and_opaqueness_is_none(tmp_path):
    alpha = np.full((40, 60), 255, np.uint8)
    Image.fromarray(np.dstack([RGB, alpha])).save(tmp_path / "opaque.png")
    alpha[5:9, 7:20] = 0
    Image.fromarray(np.dstack([RGB, alpha])).save(tmp_path / "hole.png")
    assert only(tmp_path / "opaque.png").alpha is None
    assert (only(tmp_path / "hole.png").alpha == alpha).all()


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_frames_of_an_animation(tmp_path, suffix):
    frames = [Image.fromarray(np.full((20, 20, 3), value, np.uint8)) for value in (0, 120, 250)]
    path = tmp_path / f"moving{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **({"lossless": True} if suffix == ".webp" else {}))
    read = list(read_pictures(path))
    assert [p.name for p in read] == ["moving_00001", "moving_00002", "moving_00003"]
    assert [round(float(p.rgb.mean()), -1) for p in read] == [0, 120, 250]
    assert [p.name for p in read_pictures(path, every=2)] == ["moving_00001", "moving_00003"]


def test_frames_of_a_video(tmp_path):
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 48))
    for value in (10, 200):
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    read = list(read_pictures(path))
    assert [p.name for p in read] == ["film_00001", "film_00002"]
    assert [abs(p.rgb.mean() - v) < 6 for p, v in zip(read, (10, 200))] == [True, True]


def _png_bytes():
    file = io.BytesIO()
    IMAGE.save(file, "PNG")
    return file.getvalue()


def _jpeg_bytes():
    file = io.BytesIO()
    IMAGE.save(file, "JPEG")
    return file.getvalue()


def _bomb():
    """A PNG that says it has 40,000 x 40,000 pixels."""
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


MALFORMED = {
    "empty.png": b"",
    "text.jpg": b"this is no picture",
    "truncated.jpg": _jpeg_bytes()[:400],
    "truncated.png": _png_bytes()[:90],
    "flipped.png": _png_bytes()[:60] + b"\xff" * 40 + _png_bytes()[100:],
    "bomb.png": _bomb(),
    "half.tif": b"II*\0" + b"\x08\0\0\0" + b"\xff" * 30,
    "film.mp4": b"no film",
    "header.gif": b"GIF89a\x10\0\x10\0",
    "header.webp": b"RIFF\x10\0\0\0WEBPVP8 ",
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.filterwarnings("ignore")
def test_malformed_files_are_refused_in_one_sentence(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(MALFORMED[name])
    with pytest.raises(OfhkitError) as caught:
        list(read_pictures(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "BYTES_PER_PIXEL", checks.MEMORY // 1000)
    IMAGE.save(tmp_path / "large.png")
    with pytest.raises(OfhkitError, match=r"large\.png: 60x40 are more than 1,000 pixels"):
        only(tmp_path / "large.png")


def test_too_long_a_side_is_refused(tmp_path):
    Image.new("L", (32_001, 1)).save(tmp_path / "long.png")
    with pytest.raises(OfhkitError, match=r"long\.png: 32001x1 has a side of more than 32,000"):
        only(tmp_path / "long.png")


def test_values_of_no_known_range_are_refused(tmp_path):
    Image.fromarray(np.full((20, 20), -3.5, np.float32)).save(tmp_path / "odd.tif")
    with pytest.raises(OfhkitError, match=r"odd\.tif: its values are neither"):
        only(tmp_path / "odd.tif")


def test_sixteen_bit_color_of_no_known_range_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "odd.tif"), np.full((20, 20, 3), -3.5, np.float32))
    with pytest.raises(OfhkitError, match=r"odd\.tif: its values are neither"):
        only(tmp_path / "odd.tif")


def test_no_such_file():
    with pytest.raises(OfhkitError, match="no such file"):
        only("absent.png")
