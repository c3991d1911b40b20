"""What the page does, without a browser."""

import csv
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from ofhkit.errors import OfhkitError
from ofhkit.restoration.page import EXAMPLES, installed_methods, open_example, open_file, restore
from ofhkit.restoration.page import archive as page_archive
from ofhkit.restoration.page.archive import Row, pack_results, restore_many
from ofhkit.restoration.page.compare import read_mask, read_points
from ofhkit.restoration.page.html import draw_batch, draw_results
from ofhkit.restoration.page.methods import Method
from ofhkit.restoration.page.photograph import add_mask, choose_face, paste, place_face
from ofhkit.restoration.page.uploads import MAX_FILES
from ofhkit.zoo import DEFAULT_MODEL, find_weights, load_model, zoo

CELLS = np.zeros((16, 16), bool)
CELLS[5:11, 5:11] = True
HOLE = CELLS.repeat(8, 0).repeat(8, 1)


def test_every_model_that_ships_is_there_and_the_baselines():
    methods = installed_methods([find_weights("gaussian")])
    names = [m.name for m in methods]
    assert names[:2] == [DEFAULT_MODEL, "gaussian"]
    assert sorted(names[1:-1]) == sorted(["gaussian'", *set(zoo()) - {DEFAULT_MODEL}])
    assert names[-1] == "Telea + bicubic"
    scores = [m.model.info["metrics"]["PSNR"] for m in methods[2:-1]]
    assert scores == sorted(scores, reverse=True)


def test_examples_are_the_astronaut_and_rendered_faces():
    assert open_example(EXAMPLES[0]).notes == ("NASA portrait, public domain",)
    rendered = open_example("Rendered 1")
    assert rendered.face.shape == (128, 128, 3)
    assert rendered.landmarks.shape == (68, 2)
    with pytest.raises(OfhkitError, match="no such example"):
        open_example("../../etc/passwd")


def test_scores_are_known_where_the_truth_is(methods):
    opened = open_example("Rendered 1")
    results = restore(opened, HOLE, True, methods)
    assert results.truth is not None
    assert (results.lr[CELLS] == 0).all()
    for figure in results.methods:
        assert figure.image.shape == (128, 128, 3)
        assert (figure.completed[~CELLS] == results.lr[~CELLS]).all()
        assert set(figure.scores) == {"PSNR", "SSIM", "LPIPS", "NRMSE", "Consistency"}
    assert results.methods[1].scores["PSNR"] > results.methods[0].scores["PSNR"]  # random weights
    unknown = restore(opened, HOLE, False, methods)
    assert unknown.truth is None
    assert set(unknown.methods[0].scores) == {"Consistency"}


def test_the_page_says_how_sure_it_is_and_shows_other_answers(methods):
    opened, sure = open_example("Astronaut"), Method("gaussian", "", load_model("gaussian", "cpu"))
    found = restore(opened, HOLE, True, [*methods[1:2], sure])
    assert [f.name for f in found.doubts] == ["How sure it is", *(f"Another answer {i}" for i in range(1, 7))]
    assert len({f.image.tobytes() for f in found.doubts}) == 7
    assert "gaussian: standard deviation" in draw_results(found, "a.zip")
    unable = restore(opened, HOLE, True, [Method("inpainter", "", load_model("inpainter", "cpu"))])
    assert unable.doubts == ()


def test_what_is_painted_over_does_not_leak(methods):
    opened = open_example("Astronaut")
    face = opened.face.copy()
    face[40:88, 40:88] = (0, 255, 0)
    other = type(opened)(opened.name, face, opened.hidden)
    clean, marked = (restore(o, HOLE, False, methods[1:]).methods[0].image for o in (opened, other))
    assert np.array_equal(clean, marked)


def test_files_are_opened_as_the_command_line_does(pictures, methods):
    plain, holed, tiny = (open_file(pictures[name]) for name in ("plain", "holed", "tiny"))
    assert plain.face.shape == (128, 128, 3)
    assert plain.has_truth
    assert 20 < holed.hidden.sum() / 64 < 48
    assert not holed.has_truth
    assert restore(holed, holed.hidden, True, methods).truth is None
    assert tiny.tiny
    assert restore(tiny, HOLE, True, methods).methods[0].image.shape == (128, 128, 3)


def test_errors_name_the_file_as_its_owner_does_and_no_path(pictures, tmp_path, methods):
    large = tmp_path / "large.png"
    large.write_bytes(b"\x89PNG" + bytes(16 * 2**20))
    for path, message in ((pictures["bad"], "bad.png: not a picture"), (large, "large.png: more than 15 MB")):
        with pytest.raises(OfhkitError, match=message) as caught:
            open_file(path)
        assert str(path.parent) not in str(caught.value)
    for mask in (None, 5, "01", "2g" * 2048, "0" * 4097, "<" * 4096):
        with pytest.raises(OfhkitError, match="did not arrive"):
            read_mask(mask)
    for points in (
        None,
        [],
        [[0, 0]] * 4,
        [[0, 0]] * 6,
        [[0, 2]] * 5,
        [[0, float("nan")]] * 5,
        [[0, True]] * 5,
        "abcde",
    ):
        with pytest.raises(OfhkitError, match="five points did not arrive"):
            read_points(points)
    with pytest.raises(OfhkitError, match="everything is hidden"):
        restore(open_example("Astronaut"), np.ones((128, 128), bool), True, methods)


def test_the_archive_holds_everything_and_says_what_it_is(methods):
    results = restore(open_example("Astronaut"), HOLE, True, methods)
    with zipfile.ZipFile(io.BytesIO(pack_results(results, methods))) as archive:
        names = set(archive.namelist())
        folders = {"small", "Telea_+_bicubic"}
        assert {f"{f}/{n}.png" for f in folders for n in ("sr", "completed")} < names
        assert {"lr.png", "mask.png", "truth.png", "scores.csv"} < names
        sr = Image.open(io.BytesIO(archive.read("small/sr.png")))
        assert sr.text["Comment"] == "hallucinated: not for identification"
        assert "Comment" not in Image.open(io.BytesIO(archive.read("truth.png"))).text
        rows = list(csv.DictReader(io.StringIO(archive.read("scores.csv").decode())))
    assert [row["method"] for row in rows] == ["small", "Telea + bicubic"]
    assert float(rows[0]["PSNR"]) == pytest.approx(results.methods[0].scores["PSNR"], abs=1e-3)


def test_the_drawing_escapes_names_and_serves_no_file(methods):
    results = restore(open_example("Astronaut"), HOLE, True, methods)
    html = draw_results(results, "a.zip")
    assert "random &lt;weights&gt;" in html
    assert html.count("<figure") == 2 + 2 + 2  # what goes in, truth; two completions; two methods
    assert html.count('class="versus"') == 1
    assert "What lies in the hole is invented" in html
    assert 'class="points"' in html
    assert "file=" not in html
    assert "http" not in html
    best = max(results.methods, key=lambda f: f.scores["PSNR"]).scores["PSNR"]
    assert f"class=best>{best:.2f} dB" in html


def test_many_pictures_become_one_archive(pictures, methods, tmp_path):
    file = tmp_path / "restored.zip"
    rows = restore_many([(path, path.name) for path in pictures.values()], "Transparent parts", methods[0], file)
    errors = {row.name: row.error for row in rows}
    assert errors["plain.png"] == errors["tiny.png"] == ""
    assert errors["bad.png"] == "bad.png: not a picture in a format that is understood"
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        table = archive.read("results.csv").decode()
    assert "01_plain.png" in names
    assert "02_Loch_b.png" in names
    assert not [name for name in names if "bad" in name]
    assert str(pictures["bad"].parent) not in table
    assert "bad.png,04_bad,failed" in table
    assert list(tmp_path.iterdir()) == [file]
    html = draw_batch(rows, "archive/of/it.zip")
    assert "3 of 4 restored" in html
    assert "Loch &lt;b&gt;.png" in html
    assert 'href="archive/of/it.zip"' in html


def test_many_pictures_have_their_limits(pictures, methods, tmp_path, monkeypatch):
    bad, plain, file = (pictures["bad"], "a.png"), (pictures["plain"], "b.png"), tmp_path / "restored.zip"
    twice = restore_many([bad, plain, bad], "No hole", methods[1], file)
    assert [(row.name, row.image is None) for row in twice] == [("a.png", True), ("b.png", False), ("a.png", True)]
    with pytest.raises(OfhkitError, match="choose fewer"):
        restore_many([plain] * (MAX_FILES + 1), "No hole", methods[0], file)
    with pytest.raises(OfhkitError, match="add some first"):
        restore_many([], "No hole", methods[0], file)
    monkeypatch.setattr(page_archive, "MAX_ARCHIVE", 10_000)
    rows = restore_many([plain, plain], "No hole", methods[1], file)
    assert [row.error for row in rows] == ["", page_archive.LATE]
    monkeypatch.setattr(page_archive, "SECONDS", -1)
    assert [row.error for row in restore_many([plain], "No hole", methods[1], file)] == [page_archive.LATE]


def test_a_picture_that_was_not_damaged_is_not_called_restored():
    rows = [Row("a.png", np.zeros((2, 2, 3), np.uint8), untouched=True), Row("b.png", None, "no face")]
    assert "0 of 2 restored, 1 left as they are: no hole" in draw_batch(rows, "archive/of/it.zip")


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """A photograph of two faces."""
    photo = np.full((420, 760, 3), 120, np.uint8)
    for left, name in ((70, "Astronaut"), (420, "Rendered 3")):
        face = Image.fromarray(open_example(name).face).resize((256, 256), Image.Resampling.BICUBIC)
        photo[90:346, left : left + 256] = np.asarray(face)
    path = tmp_path_factory.mktemp("group") / "group.png"
    Image.fromarray(photo).save(path)
    return path


def test_one_of_several_faces_is_chosen_and_its_result_goes_back_into_the_photograph(group, methods):
    opened = open_file(group)
    assert len(opened.faces) == 2
    centres = []
    for index in (0, 1):
        chosen = choose_face(opened, index)
        before, after = paste(chosen, HOLE, methods[0].model)
        changed = np.argwhere((before != after).any(-1))
        assert 2000 < len(changed) < 20_000
        centres.append(changed.mean(0)[1])
    assert sorted(round(x / 380) for x in centres) == [0, 1] or abs(centres[0] - centres[1]) > 250
    assert paste(opened, HOLE & False, methods[0].model) == ()
    assert paste(open_example("Astronaut"), HOLE, methods[0].model) == ()
    with pytest.raises(OfhkitError, match="no such face"):
        choose_face(opened, 2)
    group.rename(group.with_suffix(".gone"))
    with pytest.raises(OfhkitError, match=r"group.png: it is not here any more; choose it again"):
        choose_face(opened, 1)
    group.with_suffix(".gone").rename(group)


def test_five_points_show_a_face_where_none_is_found(tmp_path, methods):
    Image.new("RGB", (300, 200), "grey").save(tmp_path / "wall.png")
    opened = open_file(tmp_path / "wall.png")
    assert opened.lost
    with pytest.raises(OfhkitError, match="click its five points first"):
        restore(opened, HOLE, True, methods)
    points = np.array([[0.4, 0.3], [0.6, 0.3], [0.5, 0.5], [0.42, 0.7], [0.58, 0.7]])
    placed = place_face(opened, points)
    assert placed.face.shape == (128, 128, 3)
    assert restore(placed, HOLE, True, methods).methods[0].image.shape == (128, 128, 3)
    for wrong in (points[[1, 0, 2, 4, 3]], np.full((5, 2), 0.5)):
        with pytest.raises(OfhkitError, match="make no face"):
            place_face(opened, wrong)


def test_a_mask_file_adds_to_what_is_painted(group, tmp_path, pictures):
    def mask(height, width, part):
        values = np.zeros((height, width), np.uint8)
        values[part] = 255
        Image.fromarray(values).save(tmp_path / "mask.png")
        return tmp_path / "mask.png", "mask.png"

    face = open_example("Rendered 1")
    assert (add_mask(face, HOLE, *mask(64, 64, np.s_[:8])) == (HOLE | (np.arange(128) < 16)[:, None])).all()
    opened = open_file(group)
    hidden = add_mask(opened, HOLE, *mask(420, 760, np.s_[:200]))
    assert hidden[:16].all()
    assert hidden[HOLE].all()
    assert not hidden[-16:].any()
    with pytest.raises(OfhkitError, match=r"mask.png: it hides nothing of this face"):
        add_mask(opened, HOLE, *mask(420, 760, np.s_[:2, :2]))
    with pytest.raises(OfhkitError, match=r"bad.png: not a picture"):
        add_mask(opened, HOLE, pictures["bad"], "bad.png")
