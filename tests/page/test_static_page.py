"""The page without a server, in a real browser: as Python computes it, offline; nothing is asked for after loading."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from static_site import open_bytes, serve, settle, visit

from ofhkit.errors import OfhkitError
from ofhkit.functional.images import encode_png, to_float
from ofhkit.models.inference import run_batches
from ofhkit.restoration import Picture, Restorer
from ofhkit.restoration.page import open_example
from ofhkit.zoo import load_model

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PATIENCE = 90_000
GREY_LEVEL = 1 / 255


@pytest.fixture(scope="module")
def model():
    return load_model("gaussian-synthetic", "cpu")


@pytest.fixture(scope="module")
def site(model, npm, tmp_path_factory):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed (pip install 'ofhkit[export]')")
    from ofhkit.export import export_web

    folder = tmp_path_factory.mktemp("site")
    assert export_web(model, folder, npm / "onnxruntime-web" / "dist") < 1e-4
    server = serve(folder)
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def context(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


@pytest.fixture(scope="module")
def page(context, site):
    page = context.new_page()
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    visit(page, site)
    yield page
    assert page.wrong == []


def values(page, what, *shape):
    return np.array(page.evaluate(f"(async () => Array.from({what}))()"), np.float32).reshape(shape)


def png(rgb, hidden=None):
    file = io.BytesIO()
    layers = rgb if hidden is None else np.dstack([rgb, np.where(hidden, 0, 255).astype(np.uint8)])
    Image.fromarray(layers).save(file, "PNG")
    return file.getvalue()


def small_face(name):
    face = Image.fromarray(open_example(name).face).resize((16, 16), Image.Resampling.BICUBIC)
    return np.asarray(face)


@pytest.mark.parametrize("hole", [np.s_[5:11, 4:12], np.s_[0:7, 0:9], np.s_[0:0, 0:0], np.s_[2:14, 1:15]])
def test_a_small_face_comes_out_as_python_computes_it(page, model, hole):
    rgb, hidden = small_face("Rendered 3"), np.zeros((16, 16), bool)
    hidden[hole] = True
    open_bytes(page, png(rgb, hidden))
    lr, mask = to_float(rgb)[None], torch.from_numpy(hidden)[None, None].float()
    expected = run_batches(model, lr, mask, uncertainty=True)
    assert np.abs(values(page, "ofhkit.face.sr", 3, 128, 128) - expected.sr[0].numpy()).max() < GREY_LEVEL
    found = values(page, "(await ofhkit.restore(ofhkit.painter.mask)).std", 128, 128)
    assert np.abs(found - expected.uncertainty[0].numpy()).max() < 2 * GREY_LEVEL


def test_a_crop_is_shrunk_as_python_does(page, model):
    face = open_example("Rendered 2").face
    open_bytes(page, encode_png(face))
    [outcome] = Restorer(model, kind="aligned").restore([Picture("a", face)])
    found = values(page, "ofhkit.face.sr", 3, 128, 128)
    assert np.abs(found - to_float(outcome.image).numpy()).max() < 1.5 * GREY_LEVEL  # the outcome's is rounded


def test_a_photograph_is_cut_out_by_five_points_and_filled(page):
    photo = np.full((256, 400, 3), 90, np.uint8)
    photo[64:192, 200:328] = open_example("Astronaut").face
    open_bytes(page, encode_png(photo), "photo.png")
    page.wait_for_selector("text=Click the eye on the left")
    box, scale = page.locator("#painter canvas").bounding_box(), 400
    for x, y in ((242, 104), (289, 104), (266, 130), (247, 153), (289, 153)):
        side = box["width"] / scale
        page.mouse.click(box["x"] + x * side, box["y"] + (y + (400 - 256) / 2) * side)
    page.wait_for_selector("text=cut out by your five points")
    page.mouse.move(box["x"] + box["width"] * 0.45, box["y"] + box["height"] * 0.4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + box["height"] * 0.5, steps=3)
    page.mouse.up()
    page.wait_for_timeout(200)
    settle(page)
    with page.expect_download() as waiting:
        page.click("#save-photo")
    saved = Image.open(waiting.value.path())
    assert saved.text["Comment"] == "hallucinated: not for identification"
    changed = (np.asarray(saved.convert("RGB")) != photo).any(-1)
    assert 100 < changed.sum() < 4000
    assert not changed[:, :180].any()


def test_what_is_painted_can_be_undone_and_a_mask_file_adds_to_it(page, tmp_path):
    page.click("#examples button >> nth=1")
    page.wait_for_timeout(300)
    page.click("[data-do=clear]")
    assert page.inner_text("#painter .count").startswith("0 of 256")
    page.focus("#painter canvas")
    page.keyboard.press("Space")
    painted = page.inner_text("#painter .count")
    assert not painted.startswith("0 of")
    mask = np.zeros((256, 256), np.uint8)
    mask[:32] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    page.set_input_files("#mask", tmp_path / "mask.png")
    page.wait_for_selector("text=mask.png was added to the hole")
    assert int(page.inner_text("#painter .count").split()[0]) == int(painted.split()[0]) + 32
    page.keyboard.press("z")
    page.click("[data-do=undo]")
    settle(page)


def test_a_bad_file_is_one_sentence_and_the_paint_stays(page):
    before = page.evaluate("ofhkit.painter.mask.join('')")
    page.set_input_files("#file", {"name": "bad.png", "mimeType": "image/png", "buffer": b"no picture"})
    page.wait_for_selector("text=bad.png: not a picture that this browser can read")
    assert page.evaluate("ofhkit.painter.mask.join('')") == before


def test_nothing_is_asked_for_after_loading_and_it_works_offline(context, page, site, axe):
    page.evaluate("navigator.serviceWorker.ready")
    asked = []
    context.on("request", lambda request: asked.append(request.url))
    context.set_offline(True)
    page.click("[data-do=random]")
    page.wait_for_timeout(200)
    settle(page)
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == []
    visit(page, site)  # again, from what the service worker kept
    context.set_offline(False)
    origin = f"http://127.0.0.1:{site.server_port}/"
    assert all(url.startswith((origin, "data:", "blob:")) for url in asked)
    assert axe(page) == []
    page.set_viewport_size({"width": 400, "height": 860})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert axe(page) == []


def test_what_is_missing_is_said(tmp_path, model):
    from ofhkit.export import export_web

    with pytest.raises(OfhkitError, match="run npm install onnxruntime-web, and name its dist with --ort"):
        export_web(model, tmp_path / "a", tmp_path)
    with pytest.raises(OfhkitError, match="--web needs a pipeline on GaussianInpainter, such as ofhnet-plus"):
        export_web(load_model("ofhnet", "cpu"), tmp_path / "a", tmp_path)
