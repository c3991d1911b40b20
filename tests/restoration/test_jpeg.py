"""JPEG in, JPEG out: the same tables, EXIF, profile, orientation; of what was kept 99.5 % moves by two levels."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms, JpegImagePlugin
from skimage import data

from ofhkit.restoration import Picture, read_pictures
from ofhkit.restoration.jpeg import jpeg_like
from ofhkit.restoration.outcome import Outcome
from ofhkit.restoration.writing import Writer

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def photo(path, orientation=1, mode="RGB", **options):
    image = Image.fromarray(data.astronaut()[:301, :437]).convert(mode)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "a camera"
    image.save(path, exif=exif, icc_profile=PROFILE if mode == "RGB" else None, **options)
    return path


def restored(path):
    """The picture with a rectangle of it changed, and where no block of 16x16 of its file was touched."""
    (picture,) = read_pictures(path)
    pixels = picture.pixels.copy()
    pixels[64:128, 128:192] = 255 - pixels[64:128, 128:192]
    kept = np.ones(pixels.shape[:2], bool)
    kept[40:152, 104:216] = False
    return picture, pixels, kept


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize(("mode", "options"), [
    ("RGB", dict(quality=75)), ("RGB", dict(quality=97)), ("RGB", dict(quality=92, subsampling=0)),
    ("RGB", dict(quality=60, progressive=True)),
    ("L", dict(quality=80)),
], ids=str)  # fmt: skip
def test_what_was_not_touched_stays(tmp_path, orientation, mode, options):
    path = photo(tmp_path / "p.jpg", orientation, mode, **options)
    picture, pixels, kept = restored(path)
    (tmp_path / "out.jpg").write_bytes(jpeg_like(pixels, path, "said"))
    (after,) = read_pictures(tmp_path / "out.jpg")
    assert after.rgb.shape == picture.rgb.shape
    moved = np.abs(after.pixels.astype(int) - picture.pixels)[kept]
    assert (moved > 2).mean() < 0.005  # blocks whose lightness is cut at 0 or 255 move farther
    assert moved.mean() < 0.15
    assert np.abs(after.pixels[80:112, 144:176].astype(int) - pixels[80:112, 144:176]).mean() < 12
    before, now = Image.open(path), Image.open(tmp_path / "out.jpg")
    assert now.quantization == before.quantization
    assert JpegImagePlugin.get_sampling(now) == JpegImagePlugin.get_sampling(before)
    assert now.info["exif"] == before.info["exif"]
    assert now.info.get("icc_profile") == before.info.get("icc_profile")
    assert now.info["comment"] == b"said"


def test_what_is_no_jpeg_is_not_made_one(tmp_path):
    Image.fromarray(data.astronaut()).save(tmp_path / "p.png")
    pixels = np.asarray(data.astronaut())
    assert jpeg_like(pixels, tmp_path / "p.png", "") is None
    assert jpeg_like(pixels, tmp_path / "nowhere.jpg", "") is None
    path = photo(tmp_path / "p.jpg")
    assert jpeg_like(pixels, path, "") is None  # of another size
    assert jpeg_like(np.dstack([pixels, pixels[..., :1]])[:301, :437], path, "") is None


def test_the_writer_keeps_the_suffix_and_removes_only_its_own(tmp_path):
    path = photo(tmp_path / "p.jpg")
    (picture,) = read_pictures(path)
    out = Writer(tmp_path / "out", {"name": "tiny"})
    outcome = Outcome(picture, "photo", picture.rgb, pixels=picture.pixels)
    assert out._save_picture(outcome, "p") == "p.jpg"
    assert b"not for identification" in Image.open(tmp_path / "out/p.jpg").info["comment"]
    out.write(Outcome(picture, error="no face"), "p")
    assert not list((tmp_path / "out").glob("p.*"))
    (tmp_path / "out/p.jpg").write_bytes(path.read_bytes()[:-2] + b"\0\0")  # another's
    out.write(Outcome(picture, error="no face"), "p")
    assert (tmp_path / "out/p.jpg").exists()


def test_a_frame_stays_a_png(tmp_path):
    path = photo(tmp_path / "p.jpg")
    frame = Picture("p_00001", np.zeros((301, 437, 3), np.uint8), path=path, frame=1)
    out = Writer(tmp_path / "out", {"name": "tiny"})
    assert out._save_picture(Outcome(frame, "photo", frame.rgb, pixels=frame.pixels), "p_00001") == "p_00001.png"
    assert Image.open(io.BytesIO((tmp_path / "out/p_00001.png").read_bytes())).format == "PNG"
