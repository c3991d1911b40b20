"""One bad input is one failed row; the good ones beside it are restored."""

import csv
import io
import os
import zipfile

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from pipeline_maker import INPAINTER

from ofhkit.data.pictures import FolderImages, ZipImages, decode
from ofhkit.errors import OfhkitError
from ofhkit.registry import HALLUCINATORS
from ofhkit.restoration import MaskOptions, Restorer, restore_files, writing
from ofhkit.restoration.pictures import read_pictures
from ofhkit.restoration.sources import Names
from ofhkit.runtime.files import open_regular

TINY = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def restorer():
    torch.manual_seed(0)
    model = dict(type="FaceHallucinator", inpainter=INPAINTER, upsampler=dict(type="Bicubic"))
    return Restorer(HALLUCINATORS.build(model).eval(), MaskOptions(boxes=[(4, 4, 5, 5)]))


@pytest.fixture
def good(tmp_path):
    Image.fromarray(TINY).save(tmp_path / "good.png")
    return tmp_path / "good.png"


def rows(inputs, out, restorer):
    done = restore_files(inputs, out, restorer)
    written = list(csv.DictReader((out / "results.csv").open(encoding="utf-8")))
    assert [row["status"] for row in written] == [row["status"] for row in done.rows]
    return written


BAD = {
    "a name that is too long": (lambda f: f / ("n" * 300 + ".png"), "File name too long"),
    "a path that is too long": (lambda f: f / ("deep/" * 1200 + "a.png"), "File name too long"),
    "nobody's home": (lambda f: "~nosuchuser/a.png", "home"),
    "a file for a folder": (lambda f: f / "good.png" / "a.png", "no such file"),
    "a null character": (lambda f: "a\0b.png", "null"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_path_that_the_system_refuses_is_one_failed_row(tmp_path, good, restorer, case):
    path, message = BAD[case]
    first, second = rows([path(tmp_path), good], tmp_path / "out", restorer)
    assert (first["status"], second["status"]) == ("failed", "restored")
    assert message in first["error"]


def test_what_is_no_regular_file_fails_without_being_waited_for(tmp_path, good, restorer):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    (tmp_path / "away.png").symlink_to(tmp_path / "nothing.png")
    (tmp_path / "locked").mkdir()
    found = {row["name"]: row for row in rows([tmp_path], tmp_path / "out", restorer)}
    assert {name: row["status"] for name, row in found.items()} == {
        "good": "restored", "pipe": "failed", "loop": "failed", "away": "failed",
    }  # fmt: skip
    assert "not a regular file" in found["pipe"]["error"]
    for path in (tmp_path / "pipe.png", "/dev/zero", tmp_path):
        with pytest.raises(OfhkitError, match="not a regular file"):
            open_regular(path)
        with pytest.raises(OfhkitError, match="not a regular file"):
            list(read_pictures(path))


@pytest.mark.parametrize("length", [200, 242, 251])
@pytest.mark.parametrize("letter", ["n", "ü"])
def test_a_long_name_is_restored_under_a_shorter_one(tmp_path, good, restorer, length, letter):
    long = tmp_path / (letter * (length // len(letter.encode())) + ".png")
    other = long.with_name(long.stem[:-1] + "x.png")
    for path in (long, other):
        Image.fromarray(TINY).save(path)
    found = rows([long, other, good], tmp_path / "out", restorer)
    assert [row["status"] for row in found] == ["restored"] * 3
    assert len({row["output"] for row in found}) == 3
    assert all((tmp_path / "out" / row["output"]).is_file() for row in found)


def test_names_are_cut_between_characters():
    assert Names().take("ü" * 150) == "ü" * 100
    assert Names().take("n" * 200) == "n" * 200


def test_a_mask_for_a_long_name_is_looked_for_without_a_traceback(tmp_path, good, restorer):
    (tmp_path / "masks").mkdir()
    Image.new("L", (16, 16), 255).save(tmp_path / "masks/good.png")
    long = tmp_path / ("n" * 251 + ".png")
    Image.fromarray(TINY).save(long)
    masked = Restorer(restorer.model, MaskOptions(mask=tmp_path / "masks"))
    assert [row["status"] for row in rows([long, good], tmp_path / "out", masked)] == ["failed", "failed"]


def breaking_avif() -> bytes:
    """An AVIF of which Pillow's decoder says so by a RuntimeError, as no other does."""
    file = io.BytesIO()
    Image.fromarray(TINY.repeat(8, 0).repeat(8, 1)).save(file, "AVIF")
    for at in range(len(file.getvalue())):
        data = bytearray(file.getvalue())
        data[at] ^= 255
        try:
            Image.open(io.BytesIO(data)).load()
        except RuntimeError:
            return bytes(data)
        except Exception:
            continue
    raise AssertionError("no such AVIF")


def test_a_file_that_breaks_its_decoder_is_one_failed_row(tmp_path, good, restorer):
    (tmp_path / "broken.avif").write_bytes(breaking_avif())
    first, second = rows([tmp_path / "broken.avif", good], tmp_path / "out", restorer)
    assert (first["status"], second["status"]) == ("failed", "restored")
    assert decode(FolderImages(tmp_path), "broken.avif") is None
    assert decode(FolderImages(tmp_path), "good.png").shape == (16, 16, 3)


def test_an_encrypted_member_of_a_zip_is_an_unreadable_picture(tmp_path, good):
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as archive:
        for name in ("locked.png", "open.png"):
            archive.write(good, name)
    data = bytearray((tmp_path / "faces.zip").read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.find(signature) + flags] |= 1  # says that it is encrypted
    (tmp_path / "faces.zip").write_bytes(data)
    images = ZipImages(tmp_path / "faces.zip")
    assert decode(images, "locked.png") is None
    assert (decode(images, "open.png") == TINY).all()
    with pytest.raises(OSError, match="encrypted"):
        images.open("locked.png")


def film(path, code="MJPG", count=30):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 10, (64, 64))
    for number in range(count):
        writer.write(np.full((64, 64, 3), 8 * number, np.uint8) + np.arange(64, dtype=np.uint8)[:, None])
    writer.release()
    return path.read_bytes()


@pytest.mark.parametrize(("name", "code", "part"), [("a.avi", "MJPG", 0.6), ("a.webm", "VP80", 0.6)])
def test_a_torn_video_gives_its_frames_and_fails(tmp_path, name, code, part):
    path = tmp_path / name
    data = film(path, code)
    assert len(list(read_pictures(path))) == len(list(read_pictures(path, every=7))) * 6 == 30
    path.write_bytes(data[: int(part * len(data))])
    reading = read_pictures(path)
    assert [next(reading).frame for _ in range(10)] == list(range(1, 11))
    with pytest.raises(OfhkitError, match=r"only \d+ of its 30 frames can be read: the video is torn"):
        list(reading)


def test_a_video_whose_middle_is_damaged_fails(tmp_path, good, restorer):
    data = bytearray(film(tmp_path / "a.mp4", "mp4v"))
    data[len(data) // 2 : len(data) // 2 + 300] = bytes(300)
    (tmp_path / "a.mp4").write_bytes(data)
    found = rows([tmp_path / "a.mp4", good], tmp_path / "out", restorer)
    assert found[-2]["status"] == "failed"
    assert "the video is torn" in found[-2]["error"] or "not a video" in found[-2]["error"]
    assert found[-1]["status"] == "restored"


@pytest.mark.parametrize(("name", "code"), [("a.avi", "FFV1"), ("a.mp4", "mp4v")])
def test_damage_that_the_decoder_conceals_is_no_success(tmp_path, name, code, capfd):
    data = bytearray(film(tmp_path / name, code))
    assert len(list(read_pictures(tmp_path / name))) == 30
    at = data.index(b"mdat" if code == "mp4v" else b"movi") + (400 if code == "mp4v" else 200)
    data[at : at + 3] = b"\x5a\xa5\x33"
    (tmp_path / name).write_bytes(data)
    reading = read_pictures(tmp_path / name)
    with pytest.raises(OfhkitError, match="some of its 30 frames are damaged, their decoder says: "):
        assert [next(reading).frame for _ in range(31)]
    assert capfd.readouterr().err == ""


def test_a_list_of_other_files_is_no_video(tmp_path):
    film(tmp_path / "a.avi")
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\na.avi\n#EXT-X-ENDLIST\n")
    with pytest.raises(OfhkitError, match=r"list\.mp4: not a video in a format that is understood"):
        list(read_pictures(tmp_path / "list.mp4"))


def test_a_picture_that_cannot_be_written_whole_has_failed_and_the_next_has_its_row(
    tmp_path, good, restorer, monkeypatch
):
    Image.fromarray(TINY[::-1]).save(tmp_path / "other.png")
    write = writing.atomic_write

    def full(path, content):
        if path.name == "good.png" and path.parent.name == "overlays":
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(writing, "atomic_write", full)
    first, second = rows([good, tmp_path / "other.png"], tmp_path / "out", restorer)
    assert (first["status"], second["status"]) == ("failed", "restored")
    assert "cannot be written: No space left on device" in first["error"]
    assert not (tmp_path / "out/good.png").exists()
    assert (tmp_path / "out/other.png").is_file()


def test_a_name_is_no_formula_in_the_table(tmp_path):
    writer = writing.Writer(tmp_path, {})
    writer.rows.append({"input": "=HYPERLINK(1)|x.png", "name": "@x", "status": "failed", "faces": 0})
    (row,) = csv.DictReader(io.StringIO(writer.save_table().read_text()))
    assert (row["input"], row["name"], row["faces"]) == ("'=HYPERLINK(1)|x.png", "'@x", "0")
