"""From files to a folder: tiny faces, aligned crops, whole photographs, and every picture's status."""

import csv
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from pipeline_maker import INPAINTER

import ofhkit
from ofhkit.errors import OfhkitError
from ofhkit.functional.alignment import DEFAULT_TEMPLATE, crop_matrix, warp
from ofhkit.functional.resample import downsample_cubic
from ofhkit.models.uncertainty import Uncertainty
from ofhkit.registry import HALLUCINATORS
from ofhkit.restoration import MaskOptions, Picture, Restorer, restore_files, restorer
from ofhkit.restoration.faces import crop_and_downsample, scaling
from ofhkit.restoration.sources import collect
from ofhkit.restoration.writing import WARNING
from ofhkit.zoo.weights import save_weights

ROOT = Path(__file__).parents[2]
PHOTO_FILE = ROOT / "tests/data/golden_det224.png"
PHOTO = np.asarray(Image.open(PHOTO_FILE).convert("RGB"))
MODEL = dict(type="FaceHallucinator", inpainter=INPAINTER, upsampler=dict(type="Bicubic"))
rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    built = HALLUCINATORS.build(MODEL).eval()
    built.uncertainty = Uncertainty()
    built.uncertainty.large += torch.tensor([[-4.0, 0, 0, 0], [-2.0, 0, 0, 0]])
    built.info = {"name": "tiny", "template": [list(p) for p in DEFAULT_TEMPLATE], "licence": "for tests"}
    return built


def restore(model, rgb, mask=None, **options):
    return next(Restorer(model, mask, **options).restore([Picture("face", rgb)]))


def photo():
    """The astronaut in a wider picture; her face is at rows 120-230, columns 150-260."""
    out = np.full((300, 420, 3), 128, np.uint8)
    out[50:274, 100:324] = PHOTO
    return out


def test_a_tiny_face_is_taken_as_it_is(model):
    tiny = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    mask = np.zeros((16, 16), bool)
    mask[4:9, 5:12] = True
    outcome = restore(model, tiny, MaskOptions(mask=mask))
    face = outcome.faces[0]
    assert (outcome.kind, outcome.error) == ("tiny", None)
    assert (outcome.image == ofhkit.hallucinate(model, tiny, mask).sr).all()
    assert (face.lr[~mask] == tiny[~mask]).all()
    assert (face.lr[mask] == 0).all()
    assert face.invented.sum() == 64 * mask.sum()


def test_an_aligned_face_is_shrunk_as_in_training_and_says_so(model):
    aligned = warp(PHOTO, crop_matrix(np.array([[88, 101], [124, 98], [108, 119], [93, 137], [123, 134.0]])))
    outcome = restore(model, aligned, kind="aligned")
    expected = downsample_cubic(torch.from_numpy(aligned).permute(2, 0, 1)[None] / 255).clamp(0, 1)
    assert (np.abs(outcome.faces[0].lr - (expected[0].permute(1, 2, 0) * 255).round().numpy()) <= 1).all()
    assert outcome.image.shape == (128, 128, 3)
    assert outcome.notes == ("128x128 shrunk to 16x16: detail of the original is not used",)
    assert restore(model, cv2.resize(aligned, (512, 512)), kind="aligned").image.shape == (128, 128, 3)


def test_colors_under_a_hole_do_not_leak_over_its_rim():
    face = np.ascontiguousarray(PHOTO[50:178, 45:173])
    mask = np.zeros((128, 128), bool)
    mask[41:90, 30:77] = True
    seen = []
    for color in (0, 255):
        painted = face.copy()
        painted[mask] = color
        one = crop_and_downsample(painted, mask, scaling(128))
        seen.append(one.lr * (1 - one.mask))
    assert torch.equal(seen[0], seen[1])
    truth = downsample_cubic(torch.from_numpy(face).permute(2, 0, 1)[None] / 255)[0]
    assert ((seen[0] - truth).abs() * (1 - one.mask)).max() < 0.1
    assert one.mask.sum() == 7 * 7 - 1  # of one corner less than an eighth is hidden


def test_a_photograph_keeps_what_is_not_the_face(model):
    picture = photo()
    outcome = restore(model, picture, paste="face")
    assert (outcome.kind, len(outcome.faces)) == ("photo", 1)
    assert outcome.image.shape == picture.shape
    changed = (outcome.image != picture).any(-1)
    assert changed[140:200, 180:235].mean() > 0.9
    assert not changed[:, :60].any()
    assert not changed[:, -60:].any()


def test_only_the_hole_of_a_photograph_is_pasted_unless_the_face_is_asked_for(model):
    picture, mask = photo(), np.zeros((300, 420), bool)
    mask[150:180, 185:230] = True
    picture[mask] = (255, 0, 0)
    options = MaskOptions(boxes=[(185, 150, 45, 30)])
    outcome = restore(model, picture, options)
    changed = (outcome.image != picture).any(-1)
    assert changed[mask].all()
    assert changed.sum() < 1.6 * mask.sum()
    assert (outcome.image[mask][:, 0] < 250).all()
    assert (restore(model, picture, options, paste="face").image != picture).any(-1).sum() > 5 * mask.sum()


def test_faces_without_a_hole_are_left_and_a_hole_without_a_face_fails(model):
    outcome = restore(model, photo(), MaskOptions(boxes=[(0, 0, 20, 20)]))
    assert outcome.image is None
    assert outcome.error.startswith("the hole touches none of the 1 faces that were found; ")
    pair = np.concatenate([photo(), photo()], 1)
    outcome = restore(model, pair, MaskOptions(boxes=[(605, 150, 45, 30)]))
    assert len(outcome.faces) == 1
    assert "1 faces without a hole were left as they are" in outcome.notes
    assert (outcome.image[:, :420] == pair[:, :420]).all()


def test_scattered_dropouts_are_filled_from_their_neighbours(model):
    picture, dropped = photo(), rng.random((300, 420)) < 0.15
    damaged = picture.copy()
    damaged[dropped] = 0
    outcome = restore(model, damaged, MaskOptions(mask=dropped))
    assert (outcome.kind, len(outcome.faces)) == ("photo", 1)
    assert "scattered pixels filled" in outcome.notes[-1]
    assert (outcome.image[~dropped] == picture[~dropped]).mean() > 0.95
    error = np.abs(outcome.image.astype(float) - picture)[dropped].mean()
    assert error < 0.1 * np.abs(damaged.astype(float) - picture)[dropped].mean()


def test_an_odd_picture_does_not_end_a_run(model, monkeypatch):
    def fail(*_):
        raise cv2.error("too odd")

    monkeypatch.setattr(Restorer, "_locate", fail)
    assert "could not be processed (too odd)" in restore(model, photo()).error


@pytest.mark.parametrize(
    ("rgb", "options", "message"),
    [
        (np.zeros((1, 1, 3), np.uint8), {}, "1x1 pixels are too few"),
        (np.zeros((15, 200, 3), np.uint8), {}, "200x15 pixels are too few"),
        (np.full((300, 200, 3), 99, np.uint8), {}, "no face was found"),
        (rng.integers(0, 256, (300, 300, 3), dtype=np.uint8), {}, "no face was found; .* --kind aligned"),
        (np.zeros((100, 200, 3), np.uint8), {"kind": "aligned"}, "an aligned face is square"),
        (np.zeros((32, 32, 3), np.uint8), {"kind": "tiny"}, "a tiny face has 16x16 pixels"),
        (np.zeros((16, 16, 3), np.uint8), {"mask": MaskOptions(boxes=[(0, 0, 16, 16)])}, "everything is hidden"),
    ],
)
def test_what_fails_says_why_and_has_no_picture(model, rgb, options, message):
    outcome = restore(model, rgb, **options)
    assert outcome.image is None
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(outcome.error)


def test_a_hole_beyond_the_training_is_warned_of(model):
    tiny = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert restore(model, tiny, MaskOptions(boxes=[(0, 0, 9, 7)])).notes == ()
    outcome = restore(model, tiny, MaskOptions(boxes=[(0, 0, 8, 8)]))
    assert "warning: the hole covers 64 of 256" in outcome.notes[0]
    assert outcome.image is not None


def test_wrong_options_are_answered_with_the_nearest(model):
    with pytest.raises(OfhkitError, match="unknown kind 'alined'; did you mean 'aligned'"):
        Restorer(model, kind="alined")
    with pytest.raises(OfhkitError, match="unknown paste"):
        Restorer(model, paste="hoel")


def test_uncertainty_is_larger_in_the_hole(model):
    tiny = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    face = restore(model, tiny, MaskOptions(boxes=[(4, 4, 6, 6)]), uncertainty=True).faces[0]
    assert face.uncertainty.shape == (128, 128)
    assert face.uncertainty[face.invented].mean() > 5 * face.uncertainty[:16, :16].mean()


def test_a_run_over_files_writes_every_status(model, tmp_path):
    """Restored and failed pictures in the order of the inputs; nothing is left that looks restored and is not."""
    inputs, out = tmp_path / "in", tmp_path / "out"
    (inputs / "deep").mkdir(parents=True)
    Image.fromarray(photo()).save(inputs / "b photo.png")
    tiny = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    tiny.save(inputs / "a.png")
    tiny.save(inputs / "deep" / "a.bmp")
    (inputs / "c.jpg").write_bytes(b"nothing")
    (inputs / "notes.txt").write_text("not a picture")
    given = [inputs, tmp_path / "absent.png", str(tmp_path / "*.tif")]
    done = restore_files(given, out, Restorer(model, uncertainty=True))
    rows = list(csv.DictReader((out / "results.csv").open()))
    assert [(r["name"], r["status"], r["kind"]) for r in rows] == [
        ("a", "restored", "tiny"),
        ("b photo", "untouched", "photo"),
        ("c", "failed", ""),
        ("a-bmp", "restored", "tiny"),
        ("absent", "failed", ""),
        ("*", "failed", ""),
    ]
    assert done.failed == 3
    assert [bool(r["error"]) for r in rows] == [r["status"] == "failed" for r in rows]
    written = {str(p.relative_to(out)) for p in out.rglob("*.png")}
    assert {
        "a.png",
        "b photo.png",
        "a-bmp.png",
        "overlays/a.png",
        "faces/b photo_1.png",
        "uncertainty/a_1.png",
    } <= written
    assert not any(Path(name).name.startswith(("c", "absent")) for name in written)
    text = Image.open(out / "a.png").text
    assert text["Comment"] == WARNING
    assert text["Software"] == f"ofhkit {ofhkit.__version__}"
    assert (text["Model"], text["Model licence"]) == ("tiny", "for tests")
    (inputs / "a.png").write_bytes(b"damaged since")
    restore_files([inputs / "a.png"], out, Restorer(model))
    assert not list(out.rglob("a.png"))
    assert not list(out.rglob("a_1.png"))
    assert (out / "b photo.png").is_file()


def test_a_failure_never_removes_what_ofhkit_did_not_write(model, tmp_path):
    Image.new("RGB", (5, 5)).save(tmp_path / "mine.png")
    restore_files([tmp_path / "elsewhere" / "mine.jpg"], tmp_path, Restorer(model))
    assert (tmp_path / "mine.png").is_file()


def test_an_input_or_a_mask_in_the_output_folder_is_never_overwritten(model, tmp_path):
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    Image.new("L", (16, 16)).save(tmp_path / "c.png")
    before = {path: path.read_bytes() for path in tmp_path.glob("*.png")}
    Image.open(tmp_path / "b.png").save(tmp_path / "c.bmp")
    for _ in range(2):
        options = MaskOptions(mask=tmp_path / "c.png")
        done = restore_files([tmp_path / n for n in ("a.png", "b.png", "c.bmp")], tmp_path, Restorer(model, options))
        assert [row["output"] for row in done.rows] == ["a-png.png", "b-png.png", "c-bmp.png"]
        assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.parametrize("folder", ["overlays", "faces", "uncertainty"])
def test_an_input_among_the_results_is_refused(model, tmp_path, folder):
    (tmp_path / folder).mkdir()
    lying = tmp_path / folder / "a.png"
    Image.new("RGB", (16, 16)).save(lying)
    link = tmp_path / "a.png"
    link.symlink_to(lying)
    for given in (lying, link):
        with pytest.raises(OfhkitError, match=r"a\.png lies where results are written: copy it elsewhere, or name ano"):
            restore_files([given], tmp_path, Restorer(model))
    with pytest.raises(OfhkitError, match="lies where results are written"):
        restore_files([PHOTO_FILE], tmp_path, Restorer(model, MaskOptions(mask=tmp_path / folder)))
    assert [path.name for path in tmp_path.rglob("*.png")] == ["a.png", "a.png"]


def test_fewer_faces_than_before_leave_no_old_ones(model, tmp_path):
    inputs, out = tmp_path / "in.png", tmp_path / "out"
    Image.fromarray(np.concatenate([photo(), photo()], 1)).save(inputs)
    restore_files([inputs], out, Restorer(model, uncertainty=True))
    both = {f"{folder}/in_{i}.png" for folder in ("faces", "uncertainty") for i in (1, 2)}
    assert all((out / name).is_file() for name in both)
    Image.new("RGB", (5, 5)).save(out / "faces/in_3.png")  # somebody else's
    Image.fromarray(photo()).save(inputs)
    restore_files([inputs], out, Restorer(model))
    assert {p.name for p in (out / "faces").iterdir()} == {"in_1.png", "in_3.png"}
    assert not list((out / "uncertainty").iterdir())


def test_pictures_are_batched_and_answers_do_not_depend_on_it(model):
    tiny = [Picture(str(i), rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for i in range(5)]
    sizes = []
    original = type(model).predict
    try:
        type(model).predict = lambda self, lr, mask: (sizes.append(len(lr)), original(self, lr, mask))[1]
        together = list(Restorer(model, batch_size=4).restore(tiny))
    finally:
        type(model).predict = original
    assert sizes == [4, 1]
    alone = [next(Restorer(model).restore([p])) for p in tiny]
    assert all(np.abs(a.image.astype(int) - b.image).max() <= 1 for a, b in zip(together, alone))


def test_many_faces_take_the_fast_form_of_the_networks(monkeypatch):
    torch.manual_seed(0)
    upsampler = dict(type="ResidualUpsampler", channels=[4, 4, 4], head_channels=[4, 4])
    slow = HALLUCINATORS.build({**MODEL, "upsampler": upsampler}).eval()
    tiny = [Picture(str(i), rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for i in range(3)]
    plain = list(Restorer(slow).restore(tiny))
    monkeypatch.setattr(restorer, "MANY", 3)
    many = Restorer(slow)
    fused = list(many.restore(tiny))
    assert type(many._fast.upsampler).__name__ == "FusedNetwork"
    assert all(np.abs(a.image.astype(int) - b.image).max() <= 1 for a, b in zip(plain, fused))


def test_large_pictures_do_not_wait_for_a_batch_to_fill_up(model, monkeypatch):
    taken = []

    def pictures():
        for i in range(4):
            taken.append(i)
            yield Picture(str(i), rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))

    monkeypatch.setattr(restorer, "WAITING_PIXELS", 2 * 256)
    next(Restorer(model).restore(pictures()))
    assert taken == [0, 1]


def test_masks_and_outputs_inside_a_folder_are_no_inputs(tmp_path):
    for name in ("a.png", "masks/a.png", "out/a.png", ".hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (5, 5)).save(tmp_path / name)
    found = collect([tmp_path, tmp_path / "a.png"], [tmp_path / "masks", tmp_path / "out"])
    assert [s.path for s in found] == [tmp_path / "a.png"]
    brackets = tmp_path / "odd[1].png"
    Image.new("RGB", (5, 5)).save(brackets)
    assert [s.path for s in collect([brackets, str(tmp_path / "a*.png")])] == [brackets, tmp_path / "a.png"]


@pytest.mark.slow
def test_the_tool_says_by_its_exit_code_whether_all_went_well(tmp_path):
    """Once as a process: zero where all is restored, one where a picture failed, two for a wrong option."""
    torch.manual_seed(0)
    weights = save_weights(
        tmp_path / "m.safetensors", HALLUCINATORS.build(MODEL).state_dict(), {"model": MODEL, "method": "x"}
    )
    Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    tool = [sys.executable, str(ROOT / "tools/infer.py"), "--model", str(weights), "--device", "cpu"]
    base = [*tool, str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--box", "2,2,5,5"]
    good = subprocess.run(base, capture_output=True, text=True)
    assert (good.returncode, good.stdout.split(":")[0]) == (0, "1 restored, 0 failed"), good.stderr
    bad = subprocess.run([*tool, str(tmp_path / "none.png"), *base[len(tool) :]], capture_output=True, text=True)
    assert bad.returncode == 1
    assert "no such file" in bad.stderr
    assert "Traceback" not in bad.stderr
    wrong = subprocess.run([*base, "--color", "blue"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "expected R,G,B" in wrong.stderr
