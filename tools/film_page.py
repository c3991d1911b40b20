"""Film the page of ofhkit demo in Chromium: an example, a hole that is painted, and what every model makes of it.

    python tools/film_page.py --out docs/pictures/page_film.webp

Needs: pip install 'ofhkit[browser]', and a Chromium on the path.
"""

import io
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from ofhkit.commands.options import Parser, run

WIDTH, HEIGHT = 1000, 720
PATIENCE = 300_000  # ms: a busy machine is slow
STROKES, SHORT, LONG = 6, 180, 2500  # milliseconds that a frame stands


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/pictures/page_film.webp"), metavar="FILE.webp")
    parser.add_argument("--example", default="Astronaut", metavar="NAME", help="the face (Astronaut)")
    args = parser.parse_args()

    from PIL import Image
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen([sys.executable, "-m", "ofhkit", "demo", "--port", str(port)])
    frames: list[tuple[bytes, int]] = []
    try:
        _wait(address, server)
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.set_default_timeout(PATIENCE)
            page.goto(address)
            page.wait_for_selector("#shown .card dl")

            def shoot(milliseconds: int) -> None:
                frames.append((page.screenshot(), milliseconds))

            page.click(f"#examples button[data-name='{args.example}']")
            page.click("[data-do=clear]")
            page.fill("#painter input[type=range]", "30")
            shoot(LONG // 2)
            box = page.locator("#painter canvas").bounding_box()
            left, top, width = box["x"], box["y"] + 0.36 * box["height"], box["width"]
            page.mouse.move(left + 0.25 * width, top)
            page.mouse.down()
            for step in range(1, STROKES + 1):
                page.mouse.move(left + (0.25 + 0.45 * step / STROKES) * width, top, steps=4)
                shoot(SHORT)
            page.mouse.up()
            old = page.get_attribute("#shown .given img", "src")
            shoot(LONG // 2)
            page.click("#restore")
            page.wait_for_function("o => document.querySelector('#shown .given img')?.src !== o", arg=old)
            page.wait_for_timeout(500)
            shoot(LONG)
            for y in (0.5, 1.0):
                page.evaluate(f"window.scrollTo(0, {y} * (document.documentElement.scrollHeight - innerHeight))")
                page.wait_for_timeout(300)
                shoot(LONG)
            browser.close()
    finally:
        server.terminate()
    pictures = [Image.open(io.BytesIO(png)).convert("RGB") for png, _ in frames]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    times = [milliseconds for _, milliseconds in frames]
    pictures[0].save(args.out, save_all=True, append_images=pictures[1:], duration=times, loop=0, quality=60)
    print(args.out, f"{args.out.stat().st_size / 1e3:.0f} kB, {len(pictures)} frames")


def _wait(address: str, server: subprocess.Popen) -> None:
    for _ in range(PATIENCE // 500):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            if server.poll() is not None:
                raise SystemExit("the page could not be started") from None
            time.sleep(0.5)


if __name__ == "__main__":
    run(main)
