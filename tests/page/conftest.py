"""Two methods that need no training: a small random network and Telea with bicubic."""

import os
import shutil
import socket
import threading
import time
from pathlib import Path

import pytest
import torch
from picture_maker import write_pictures

from ofhkit.registry import HALLUCINATORS
from ofhkit.restoration.page import Method, installed_methods

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed ('ofhkit[browser]')")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium is installed")
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def npm():
    """Folder of installed npm packages: ``$OFHKIT_NPM``, or ``node_modules`` of the checkout."""
    folder = Path(os.environ.get("OFHKIT_NPM", "node_modules"))
    if not folder.is_dir():
        pytest.skip("no npm packages: npm install onnxruntime-web axe-core, and name their folder in OFHKIT_NPM")
    return folder


@pytest.fixture(scope="session")
def axe(npm):
    """Ask axe what is wrong with a page: a list of (rule, first element)."""
    script = (npm / "axe-core" / "axe.min.js").read_text("utf-8")

    def violations(page):
        page.evaluate(script)
        return [(found["id"], found["nodes"][0]["html"]) for found in page.evaluate("axe.run()")["violations"]]

    return violations


@pytest.fixture(scope="session")
def methods():
    torch.manual_seed(0)
    parts = dict(
        inpainter=dict(type="EncoderDecoder", channels=[4, 4, 8, 8], decoder_channels=[8, 4, 4]),
        upsampler=dict(type="ResidualUpsampler", channels=[4, 4, 4], head_channels=[4, 4]),
    )
    model = HALLUCINATORS.build(dict(type="FaceHallucinator", **parts)).eval()
    model.info = {"name": "small", "method": "OFHNet", "licence": "for tests"}
    telea = next(m for m in installed_methods() if m.name == "Telea + bicubic")
    return [Method("small", "random <weights>", model), telea]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def address(methods):
    pytest.importorskip("gradio", reason="Gradio is not installed (pip install 'ofhkit[demo]')")
    uvicorn = pytest.importorskip("uvicorn")
    from ofhkit.restoration.page.server import application

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(application(methods), "127.0.0.1", port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.1)
    assert server.started
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)
