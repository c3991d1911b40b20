"""What is not damaged is not touched: no hole, no change; outside a hole, the same bits."""

import csv
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from pipeline_maker import INPAINTER

from ofhkit.functional.alignment import DEFAULT_TEMPLATE
from ofhkit.registry import HALLUCINATORS
from ofhkit.restoration import MaskOptions, Picture, Restorer, restore_files
from ofhkit.restoration.writing import WARNING
from ofhkit.zoo.weights import save_weights

ROOT = Path(__file__).parents[2]
FACE = np.asarray(Image.open(ROOT / "tests/data/golden_det224.png").convert("RGB"))
MODEL = dict(type="FaceHallucinator", inpainter=INPAINTER, upsampler=dict(type="Bicubic"))
BOX = (185, 150, 45, 30)
SOFT = 9  # pixels that the hole may reach beyond itself: her face is smaller than a crop


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    built = HALLUCINATORS.build(MODEL).eval()
    built.info = {"name": "tiny", "template": [list(p) for p in DEFAULT_TEMPLATE]}
    return built


def photo() -> np.ndarray:
    """The astronaut in a wider picture; her face is at rows 120-230, columns 150-260."""
    out = np.random.default_rng(0).integers(120, 136, (300, 420, 3), dtype=np.uint8)
    out[50:274, 100:324] = FACE
    return out


def hole() -> np.ndarray:
    out = np.zeros((300, 420), np.uint8)
    out[150:180, 185:230] = 1
    return out


def run(path: Path, out: Path, model, **options) -> dict[str, str]:
    """The row of one picture."""
    box = options.pop("box", None)
    restorer = Restorer(model, MaskOptions(mask=options.pop("mask", None), boxes=[box] if box else []), **options)
    restore_files([path], out, restorer)
    (row,) = csv.DictReader((out / "results.csv").open())
    return row


@pytest.mark.parametrize("name", ["p.png", "p.jpg", "p.webp", "P.JPG"])
@pytest.mark.parametrize("options", [{}, {"mask": "auto"}, {"mask": "none"}, {"paste": "hole"}], ids=str)
def test_a_photograph_without_a_hole_is_copied_byte_for_byte(model, tmp_path, name, options):
    path, out = tmp_path / name, tmp_path / "out"
    Image.fromarray(photo()).save(path)
    row = run(path, out, model, **options)
    assert (row["status"], row["kind"], row["faces"], row["error"]) == ("untouched", "photo", "1", "")
    assert "no hole: nothing restored" in row["notes"]
    assert (out / row["output"]).read_bytes() == path.read_bytes()
    assert row["output"] == f"{path.stem}{path.suffix.lower()}"
    assert Image.open(out / f"faces/{path.stem}_1.png").size == (128, 128)
    assert Image.open(out / f"faces/{path.stem}_1.png").text["Comment"] == WARNING


@pytest.mark.parametrize("dropouts", [False, True])
def test_a_border_that_touches_no_face_is_no_damage(model, tmp_path, dropouts):
    picture, path = photo(), tmp_path / "p.png"
    picture[:20], picture[-12:] = 0, 0
    if dropouts:
        picture[30:260:6, 10:410:6] = 255
    Image.fromarray(picture).save(path)
    row = run(path, tmp_path / "out", model, mask="auto")
    assert (row["status"], row["error"]) == ("restored" if dropouts else "untouched", "")
    assert "touches no face: left as it is" in row["notes"]
    written = np.asarray(Image.open(tmp_path / "out/p.png"))
    assert (written[:20] == 0).all()
    assert np.array_equal(written, picture) is not dropouts


def test_a_border_that_was_said_to_be_hidden_and_touches_no_face_fails(model, tmp_path):
    Image.fromarray(photo()).save(tmp_path / "p.png")
    row = run(tmp_path / "p.png", tmp_path / "out", model, box=(0, 0, 420, 20))
    assert row["status"] == "failed"
    assert row["error"].startswith("the hole touches none of the 1 faces that were found; ")
    assert "--face" in row["error"]


def test_a_whole_face_is_pasted_only_where_it_is_asked_for(model, tmp_path):
    Image.fromarray(photo()).save(tmp_path / "p.png")
    row = run(tmp_path / "p.png", tmp_path / "out", model, paste="face")
    assert (row["status"], row["output"]) == ("restored", "p.png")
    assert (np.asarray(Image.open(tmp_path / "out/p.png")) != photo()).any()


def test_what_is_no_photograph_becomes_a_face_as_ever(model, tmp_path):
    Image.fromarray(FACE[50:178, 45:173]).save(tmp_path / "crop.png")
    Image.fromarray(FACE).resize((16, 16)).save(tmp_path / "tiny.png")
    crop = run(tmp_path / "crop.png", tmp_path / "out", model, kind="aligned")
    tiny = run(tmp_path / "tiny.png", tmp_path / "out", model)
    assert [(row["status"], row["kind"]) for row in (crop, tiny)] == [("restored", "aligned"), ("restored", "tiny")]
    assert Image.open(tmp_path / "out/crop.png").size == Image.open(tmp_path / "out/tiny.png").size == (128, 128)


def test_the_frames_of_an_animation_are_written_as_they_are_and_not_called_hallucinated(model, tmp_path):
    frames = [Image.fromarray(photo()), Image.fromarray(photo()[:, ::-1])]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    restore_files([tmp_path / "a.png"], tmp_path / "out", Restorer(model))
    for number, frame in enumerate(frames, 1):
        written = Image.open(tmp_path / f"out/a_0000{number}.png")
        assert (np.asarray(written) == np.asarray(frame)).all()
        assert written.text["Comment"] == "not restored: no hole"


def test_an_array_without_a_hole_is_its_own_result(model):
    (outcome,) = Restorer(model).restore([Picture("face", photo())])
    assert outcome.untouched
    assert (outcome.image == photo()).all()


def test_copies_replace_results_and_results_replace_copies(model, tmp_path):
    path, out = tmp_path / "p.jpg", tmp_path / "out"
    Image.fromarray(photo()).save(path)
    for options, left in (({}, "p.jpg"), ({"box": BOX}, "p.jpg"), ({}, "p.jpg"), ({"paste": "face"}, "p.jpg")):
        assert run(path, out, model, **options)["output"] == left
        assert [file.name for file in out.glob("p.*")] == [left]


def test_a_copy_never_overwrites_the_picture_itself(model, tmp_path):
    path = tmp_path / "p.jpg"
    Image.fromarray(photo()).save(path)
    before = path.read_bytes()
    row = run(path, tmp_path, model)
    assert row["output"] == "p-jpg.jpg"
    assert path.read_bytes() == (tmp_path / "p-jpg.jpg").read_bytes() == before


GREY = photo()[..., 1]
DEEP = photo().astype(np.uint16) * 257 + np.arange(420, dtype=np.uint16)[:, None] % 100
CUT = np.dstack([photo(), 255 - 255 * hole()])
KINDS = {
    "rgb": photo(),
    "grey": GREY,
    "grey_alpha": np.dstack([GREY, CUT[..., 3]]),
    "rgba": CUT,
    "grey_16": DEEP[..., 0],
    "rgb_16": DEEP,
    "rgba_16": np.dstack([DEEP, CUT[..., 3].astype(np.uint16) * 257]),
}


def read_exactly(path: Path) -> np.ndarray:
    """Pixels as they lie in a PNG or TIFF."""
    with Image.open(path) as image:
        if image.mode == "LA":
            return np.asarray(image)
    array = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return array if array.ndim == 2 else array[..., [2, 1, 0, 3][: array.shape[2]]]


def write_exactly(path: Path, array: np.ndarray) -> Path:
    if array.ndim == 3 and array.shape[2] == 2:
        Image.fromarray(array).save(path)
    else:
        cv2.imwrite(str(path), array if array.ndim == 2 else array[..., [2, 1, 0, 3][: array.shape[2]]])
    return path


def changed_and_allowed(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    changed = before != after
    kernel = np.ones((2 * SOFT + 1,) * 2, np.uint8)
    return changed.reshape(*before.shape[:2], -1).any(-1), cv2.dilate(hole(), kernel).astype(bool)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("kind", KINDS)
def test_outside_a_hole_every_pixel_keeps_its_bits_bands_and_depth(model, tmp_path, kind, suffix):
    if suffix == ".tif" and kind == "grey_alpha":
        pytest.skip("nobody writes such a TIFF")
    path = write_exactly(tmp_path / f"p{suffix}", KINDS[kind])
    row = run(path, tmp_path / "out", model, box=BOX)
    assert (row["status"], row["output"]) == ("restored", "p.png"), row["error"]
    after = read_exactly(tmp_path / "out/p.png")
    assert (after.shape, after.dtype) == (KINDS[kind].shape, KINDS[kind].dtype)
    changed, allowed = changed_and_allowed(KINDS[kind], after)
    assert changed[hole() > 0].mean() > 0.9
    assert not (changed & ~allowed).any()
    if kind.endswith(("alpha", "rgba", "rgba_16")):
        assert (after[hole() > 0][:, -1] > 0.99 * np.iinfo(after.dtype).max).all()
    with Image.open(tmp_path / "out/p.png") as image:
        assert image.text["Comment"] == WARNING


@pytest.mark.parametrize("mode", ["P", "CMYK"])
def test_what_a_png_of_bands_cannot_hold_keeps_the_colors_that_it_shows(model, tmp_path, mode):
    path = tmp_path / ("p.tif" if mode == "CMYK" else "p.png")
    Image.fromarray(photo()).convert(mode).save(path)
    row = run(path, tmp_path / "out", model, box=BOX)
    before, after = (np.asarray(Image.open(p).convert("RGB")) for p in (path, tmp_path / "out" / row["output"]))
    changed, allowed = changed_and_allowed(before, after)
    assert changed[hole() > 0].mean() > 0.9
    assert not (changed & ~allowed).any()


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_turned_picture_is_written_upright_with_the_same_pixels(model, tmp_path, orientation, depth):
    undo = {3: 2, 6: 1, 8: 3}[orientation]  # quarter turns
    upright = photo() if depth == 8 else DEEP
    path = write_exactly(tmp_path / "p.png", np.rot90(upright, undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data, chunk = path.read_bytes(), exif.tobytes()[6:]
    chunk = struct.pack(">I", len(chunk)) + b"eXIf" + chunk + struct.pack(">I", zlib.crc32(b"eXIf" + chunk))
    path.write_bytes(data[:33] + chunk + data[33:])
    row = run(path, tmp_path / "out", model, box=BOX)
    assert "turned upright" in row["notes"], row
    after = read_exactly(tmp_path / "out/p.png")
    changed, allowed = changed_and_allowed(upright, after)
    assert changed[hole() > 0].mean() > 0.9
    assert not (changed & ~allowed).any()
    assert 0x0112 not in Image.open(tmp_path / "out/p.png").getexif()


def test_the_color_profile_goes_with_the_pixels(model, tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(photo()).save(tmp_path / "p.jpg", icc_profile=profile)
    run(tmp_path / "p.jpg", tmp_path / "out", model, box=BOX)
    assert Image.open(tmp_path / "out/p.jpg").info["icc_profile"] == profile


@pytest.mark.slow
def test_the_tool_says_that_nothing_was_restored_and_exits_with_zero(tmp_path):
    torch.manual_seed(0)
    header = {"model": MODEL, "method": "x"}
    weights = save_weights(tmp_path / "m.safetensors", HALLUCINATORS.build(MODEL).state_dict(), header)
    Image.fromarray(photo()).save(tmp_path / "p.jpg")
    tool = [sys.executable, str(ROOT / "tools/infer.py"), str(tmp_path / "p.jpg"), "--out", str(tmp_path / "out")]
    done = subprocess.run([*tool, "--model", str(weights), "--device", "cpu"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 restored, 0 failed, 1 without a hole (nothing restored): ")
