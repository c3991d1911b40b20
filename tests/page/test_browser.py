"""The page in a real browser: open, paint, restore, download, a bad file, and nothing fetched from elsewhere."""

import io
import zipfile

import pytest

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


def download(page, scope: str) -> zipfile.ZipFile:
    with page.expect_download() as waiting:
        page.click(f"{scope} .download")
    with open(waiting.value.path(), "rb") as file:
        return zipfile.ZipFile(io.BytesIO(file.read()))


def test_open_paint_restore_download(page, pictures):
    old = first_picture(page)
    page.set_input_files("#photo input[type=file]", pictures["plain"])
    page.wait_for_selector("text=detail of the original is not used")
    page.click("[data-hole=none]")
    page.click("[data-size='4']")
    box = page.locator("#painter canvas").bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.4 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.4 * box["height"], steps=4)
    page.mouse.up()
    assert page.inner_text("#painter .count") == "44 of 256 pixels hidden"  # columns 3 to 13, 4 rows
    page.click("#restore")
    wait_for_another(page, old)
    assert page.locator("#shown svg.hole rect").count() == 44
    assert page.locator("#shown .card").count() == 6
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
    page.click("[data-hole=none]")
    page.set_input_files("#photo input[type=file]", pictures["tiny"])  # the place for files is free again
    page.wait_for_function("document.querySelectorAll('#shown .given .card').length === 3")  # no truth


def test_many_pictures(page, pictures):
    page.get_by_role("tab", name="Many pictures").click()
    page.set_input_files("#photos input[type=file]", list(pictures.values()))
    page.wait_for_selector("#photos >> text=tiny")
    page.click("#restore-all")
    page.wait_for_selector("#table .tile")
    assert "3 of 4 restored" in page.inner_text("#table")
    with download(page, "#table") as archive:
        assert "results.csv" in archive.namelist()
