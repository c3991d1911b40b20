"""The page in a real browser: open, paint, restore, download, a bad file, and nothing fetched from elsewhere."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.browser
PATIENCE = 90_000  # ms; a busy machine is slow


@pytest.fixture
def page(browser, address):
    page = browser.new_page(viewport={"width": 1320, "height": 1000}, accept_downloads=True)
    page.set_default_timeout(PATIENCE)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_selector("#shown .card dl")
    yield page
    page.close()
    assert all(url.startswith((address, "data:", "blob:")) for url in asked), (
        "the page fetched something from elsewhere"
    )


def first_picture(page) -> str:
    return page.get_attribute("#shown .given img", "src")


def wait_for_another(page, old: str) -> None:
    page.wait_for_function("old => document.querySelector('#shown .given img')?.src !== old", arg=old)


def stroke(page, *places) -> None:
    """Paint along places, fractions of the canvas."""
    box = page.locator("#painter canvas").bounding_box()
    for number, (x, y) in enumerate(places):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4 if number else 1)
        if not number:
            page.mouse.down()
    page.mouse.up()


def download(page, scope: str) -> zipfile.ZipFile:
    with page.expect_download() as waiting:
        page.click(f"{scope} .download")
    with open(waiting.value.path(), "rb") as file:
        return zipfile.ZipFile(io.BytesIO(file.read()))


def test_open_paint_restore_download(page, pictures):
    page.set_input_files("#photo input[type=file]", pictures["plain"])
    page.wait_for_selector("text=detail of the original is not used")
    old = first_picture(page)
    page.click("[data-do=clear]")
    stroke(page, (0.3, 0.4), (0.7, 0.4))
    hidden = int(page.inner_text("#painter .count").split()[0])
    assert 12 <= hidden <= 30  # a stroke of 14 pixels over half of 128, in cells of 8
    page.click("#restore")
    wait_for_another(page, old)
    assert page.locator("#shown svg.hole rect").count() == hidden
    assert page.locator("#shown .card").count() == 6
    page.click("#shown button.view >> nth=1")
    assert page.inner_text("#shown .versus .tag.right") == "Telea + bicubic"
    assert "PSNR" in page.inner_text("#shown")
    assert not page.locator("#shown svg.points").first.is_visible()
    page.check("#shown .marks")
    assert page.locator("#shown svg.points").first.is_visible()
    with download(page, "#shown") as archive:
        assert "small/sr.png" in archive.namelist()


def test_a_bad_file_is_one_sentence_and_the_page_goes_on(page, pictures):
    old = first_picture(page)
    page.set_input_files("#photo input[type=file]", pictures["bad"])
    page.wait_for_selector("text=bad.png: not a picture in a format that is understood")
    assert str(pictures["bad"].parent) not in page.content()
    assert first_picture(page) == old
    page.click("#examples button[data-name='Rendered 2']")
    wait_for_another(page, old)
    page.wait_for_selector("text=this person does not exist")
    page.click("[data-do=clear]")
    page.set_input_files("#photo input[type=file]", pictures["tiny"])  # the place for files is free again
    page.wait_for_function("document.querySelectorAll('#shown .given .card').length === 3")  # no truth


def test_a_bad_file_and_a_mask_file_leave_the_paint(page, pictures, tmp_path):
    page.click("[data-do=clear]")
    page.focus("#painter canvas")
    for key in ("ArrowLeft", "ArrowLeft", "Space"):  # painted without a mouse
        page.keyboard.press(key)
    painted = int(page.inner_text("#painter .count").split()[0])
    assert painted > 0
    page.set_input_files("#photo input[type=file]", pictures["bad"])
    page.wait_for_selector("text=bad.png: not a picture")
    assert page.inner_text("#painter .count").startswith(f"{painted} of")
    mask = np.zeros((128, 128), np.uint8)
    mask[:16] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    page.set_input_files("#mask input[type=file]", tmp_path / "mask.png")
    page.wait_for_selector(f"text={painted + 32} of 256 small pixels hidden")
    page.click("[data-do=undo]")
    assert page.inner_text("#painter .count").startswith(f"{painted} of")


def test_five_points_where_no_face_is_found_and_the_photograph_comes_back(page, tmp_path):
    Image.new("RGB", (400, 200), "grey").save(tmp_path / "wall.png")
    page.set_input_files("#photo input[type=file]", tmp_path / "wall.png")
    page.wait_for_selector("text=Click the eye on the left")
    box = page.locator("#painter canvas").bounding_box()
    for x, y in ((0.4, 0.4), (0.6, 0.4), (0.5, 0.5), (0.43, 0.6), (0.57, 0.6)):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.wait_for_selector("text=the face is where you clicked")
    stroke(page, (0.4, 0.5), (0.6, 0.5))
    page.click("#restore")
    page.wait_for_selector("text=after, by small")
    assert page.locator("#shown .versus").count() == 2
    with download(page, "#shown") as archive:
        assert Image.open(io.BytesIO(archive.read("photograph.png"))).size == (400, 200)


GRADIO = {"label-content-name-mismatch"}  # its file box is named otherwise than it is labelled


@pytest.mark.parametrize("width", [400, 1280])
def test_axe_finds_nothing(page, axe, width):
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [found for found in axe(page) if found[0] not in GRADIO] == []


def test_many_pictures(page, pictures):
    page.get_by_role("tab", name="Many pictures").click()
    page.set_input_files("#photos input[type=file]", list(pictures.values()))
    page.wait_for_selector("#photos >> text=tiny")
    page.click("#restore-all")
    page.wait_for_selector("#table .tile")
    assert "3 of 4 restored" in page.inner_text("#table")
    with download(page, "#table") as archive:
        assert "results.csv" in archive.namelist()
