"""The report in a real browser: rows, sorting, slider."""

import re
import shutil
import subprocess

import numpy as np
import pytest
import torch

from ofhkit.evaluation.report import html_report
from ofhkit.evaluation.tables import Column

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
COLUMNS = [Column("PSNR", "PSNR (dB)", 2, True, True), Column("LPIPS", "LPIPS", 4, False, True)]
ROWS = [
    dict(method="A", PSNR=20.0, PSNR_ci95=[19.0, 21.0], PSNR_p=0.3, LPIPS=0.25),
    dict(method="B </script><b>", PSNR=21.0),
    dict(method="OFHNet", PSNR=3.5, LPIPS=0.5),
]


def report(extra: str = "") -> str:
    faces = {name: torch.rand(2, 3, side, side) for name, side in (("lr", 16), ("completed", 16), ("A", 128))}
    text = html_report(
        {"Table 1": (ROWS, COLUMNS)},
        (["face 0", "worst 3.5"], {**faces, "hr": torch.rand(2, 3, 128, 128)}),
        {"a curve": "<svg id='curve'></svg>"},
        {"a picture": np.zeros((4, 4, 3), np.uint8)},
        {"num_images": 2, "split": "test", "data": "CelebA", "device": "none"},
        {"python": "3"},
        {"OFHNet": '{"model": 1}'},
    )
    return text.replace("</body>", f"<script>{extra}</script></body>")


def test_data_cannot_end_the_script():
    assert report().count("</script>") == 3  # the data's, the page's and this test's


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome")
def test_in_a_browser_it_shows_sorts_and_slides(tmp_path):
    page = tmp_path / "report.html"
    clicks = """document.querySelectorAll("th")[1].click();
        slide = document.getElementById("slide"); slide.value = 2.25; slide.oninput();
        document.querySelectorAll("#thumbs button")[1].click();"""
    page.write_text(report(clicks), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    done = subprocess.run([BROWSER, *flags, page.as_uri()], capture_output=True, text=True, timeout=300, check=True)
    dom = done.stdout
    body = re.search(r"<tbody>(.*?)</tbody>", dom, re.S)[1]
    assert [re.sub("<[^>]*>", "", row) for row in re.findall(r"<tr><td>(.*?)</td>", body)] == [
        "B &lt;/script&gt;&lt;b&gt;", "A", "OFHNet"
    ]  # fmt: skip
    assert 'class="best">21.00' in body
    assert "†" in body
    assert "[19.00, 21.00]" in body
    assert "paper 20.44" in body
    assert 'aria-sort="descending"' in dom
    assert re.search(r'id="name-a"[^>]*>hr<', dom)
    assert re.search(r'id="name-b"[^>]*>A<', dom)
    assert 'id="edge" style="left: 25%' in dom
    assert dom.count('aria-pressed="true"') == 1
    assert 'id="curve"' in dom
