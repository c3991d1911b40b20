"""Pictures of both pages at 400 and 1,280 pixels for the docs, and how long the one without a server takes.

    OFHKIT_NPM=node_modules python tests/page/pictures.py

Writes docs/pictures/page_*.webp and site_*.webp, and docs/results/web.md.
"""

# ruff: noqa: E402
import io
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch
import uvicorn
from PIL import Image
from playwright.sync_api import sync_playwright

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]  # as pytest finds them

from conftest import FLAGS
from static_site import serve, settle, visit

from ofhkit.export import export_web
from ofhkit.ops import device_name
from ofhkit.restoration.page import installed_methods
from ofhkit.restoration.page.server import application
from ofhkit.zoo import load_model

DOCS = Path(__file__).parents[2] / "docs"
SIZES = {"desktop": (1280, 1000), "phone": (400, 860)}
LOADS, FACES = 3, 10
RUNTIME = "onnxruntime-web/dist"


def shoot(page, name):
    for kind, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(1000)
        whole = page.screenshot(full_page=kind == "phone")
        picture = Image.open(io.BytesIO(whole))
        picture.crop((0, 0, width, min(picture.height, 2200))).save(DOCS / f"pictures/{name}_{kind}.webp", quality=80)


def site(browser, folder):
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    server, loads, faces = serve(folder), [], []
    for _ in range(LOADS):
        page = browser.new_page()  # a new context: nothing is cached
        page.set_default_timeout(120_000)
        visit(page, server)
        loads.append(float(page.get_attribute("html", "data-ready")))
    for _ in range(FACES):
        page.click("[data-do=random]")
        page.wait_for_timeout(200)
        settle(page)
        faces.append(float(page.get_attribute("#time", "data-milliseconds")))
    page.click("#examples button >> nth=3")
    page.wait_for_timeout(1500)
    settle(page)
    shoot(page, "site")
    server.shutdown()
    load = os.getloadavg()[0]
    text = (
        "# The page without a server: how long it takes\n\n"
        "`OFHKIT_NPM=node_modules python tests/page/pictures.py` prints it: `ofhnet-plus` in Chromium, one thread of\n"
        f"{os.cpu_count()} cores of {device_name(torch.device('cpu'))} ({torch.backends.cpu.get_cpu_capability()}), "
        f"load average {load:.1f}.\n\n"
        "| what | value |\n|---|--:|\n"
        f"| folder | {size:.1f} MB |\n"
        f"| from opening the page to the first face, median of {LOADS} | {statistics.median(loads) / 1000:.2f} s |\n"
        f"| a face, median of {FACES} | {statistics.median(faces):.0f} ms |\n"
        f"| a face, fastest of {FACES} | {min(faces):.0f} ms |\n"
    )
    (DOCS / "results/web.md").write_text(text)
    print(text)


def demo(browser):
    config = uvicorn.Config(application(installed_methods()), "127.0.0.1", 7897, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.2)
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(120_000)
    page.goto("http://127.0.0.1:7897")
    page.wait_for_selector("#shown .card dl")
    shoot(page, "page")
    server.should_exit = True
    thread.join(20)


def main():
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        with tempfile.TemporaryDirectory() as folder:
            export_web(load_model("ofhnet-plus", "cpu"), Path(folder), Path(os.environ["OFHKIT_NPM"], RUNTIME))
            site(browser, Path(folder))
        demo(browser)
        browser.close()


if __name__ == "__main__":
    main()
