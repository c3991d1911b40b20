"""Tables whose every cell is known."""

import csv
import io
import json
import re

import pytest

from ofhkit.evaluation.columns import TABLE1, Column, present, with_others
from ofhkit.evaluation.tables import csv_table, latex_table, markdown_table, marks, write_tables

PSNR = Column("PSNR", "PSNR (dB)", 2, True, True)
LPIPS = Column("LPIPS", "LPIPS", 4, False, True)
GMAC = Column("gmacs", "GMAC", 3)
ROWS = [
    dict(method="IN+bicubic", config="b", PSNR=20.0, PSNR_ci95=[19.5, 20.5], PSNR_p=0.001, LPIPS=0.5, gmacs=0.0),
    dict(method="my_net", config="m", PSNR=20.9, PSNR_ci95=[20.4, 21.4], PSNR_p=0.2, gmacs=12.5),
    dict(method="OFHNet", config="o", PSNR=21.0, PSNR_ci95=[20.5, 21.5], LPIPS=0.25, gmacs=2.5),
]
PROTOCOL = {"num_images": 8, "degradation": {"type": "D", "size": 16}, "notes": ["no IoU"]}


def cells(line):
    return [cell.strip() for cell in line.strip("| \\").replace("&", "|").split("|")]


def test_markdown_cell_by_cell():
    lines = markdown_table(ROWS, [PSNR, LPIPS, GMAC], PROTOCOL).splitlines()
    assert cells(lines[0]) == ["method", "PSNR (dB)", "paper", "LPIPS", "GMAC"]
    assert cells(lines[2]) == ["IN+bicubic", "20.00 [19.50, 20.50]", "17.53", "<u>0.5000</u>", "0.000"]
    assert cells(lines[3]) == ["my_net", "<u>20.90</u>† [20.40, 21.40]", "–", "–", "12.500"]
    assert cells(lines[4]) == ["OFHNet", "**21.00** [20.50, 21.50]", "20.44", "**0.2500**", "2.500"]
    assert lines[-1] == "Protocol: num_images: 8; degradation: (type D, size 16); notes: no IoU."


def test_latex_is_balanced_and_escaped():
    text = latex_table(ROWS, [PSNR, LPIPS], PROTOCOL)
    assert r"my\_net & \underline{20.90}$^\dagger$ {\scriptsize [20.40, 21.40]} & -- & --" in text
    assert r"OFHNet & \textbf{21.00}" in text
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert text.count(r"\begin") == text.count(r"\end")
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in rows} == {3}
    assert not re.search(r"(?<!\\)[%#_]", text)
    assert text.isascii()


def test_csv_keeps_full_precision():
    rows = [dict(ROWS[0], PSNR=1 / 3)]
    read = next(csv.DictReader(io.StringIO(csv_table(rows, [PSNR, GMAC]))))
    assert float(read["PSNR"]) == 1 / 3
    assert (read["PSNR_lo"], read["PSNR_hi"], read["PSNR_p"], read["PSNR_paper"]) == ("19.5", "20.5", "0.001", "17.53")
    assert "gmacs_lo" not in read


def test_equal_numbers_share_the_mark_and_costs_have_none():
    rows = [dict(a=1.0), dict(a=1.0), dict(a=2.0), dict(a=3.0)]
    assert marks(rows, Column("a", "a", 1, False)) == ["best", "best", "second", ""]
    assert marks(rows, Column("a", "a", 1)) == [""] * 4
    assert marks(rows[:2], Column("a", "a", 1, True)) == ["", ""]  # nobody is better than anybody


def test_other_metrics_become_columns_before_the_costs():
    rows = [dict(method="A", PSNR=1.0, PSNR_p=0.5, sharpness=2.0, params=3)]
    assert [c.key for c in with_others(rows)] == ["PSNR", "sharpness", "params"]
    assert present(TABLE1, []) == []


def test_four_files_agree(tmp_path):
    markdown = write_tables(tmp_path / "table1", ROWS, [PSNR, LPIPS], PROTOCOL)
    assert (tmp_path / "table1.md").read_text() == markdown
    stored = json.loads((tmp_path / "table1.json").read_text())
    assert stored["protocol"] == PROTOCOL
    assert [row["PSNR"] for row in stored["rows"]] == [20.0, 20.9, 21.0]
    assert stored["rows"][2]["paper"] == pytest.approx({"PSNR": 20.44, "SSIM": 0.63, "NRMSE": 5.33, "IoU": 0.60})
    assert (tmp_path / "table1.tex").is_file()
    assert len((tmp_path / "table1.csv").read_text().splitlines()) == 4
