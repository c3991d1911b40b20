"""Tables whose every cell is known."""

import csv
import io
import json
import re
from typing import ClassVar

import pytest
from rich.console import Console

from ofhkit.evaluation import scoring
from ofhkit.evaluation.tables import (
    PAPER,
    Column,
    csv_table,
    drawn_table,
    latex_table,
    markdown_table,
    marks,
    tables_of,
    write_tables,
)
from ofhkit.metrics import PerImageMetric
from ofhkit.registry import METRICS

PSNR = Column("PSNR", "PSNR (dB)", 2, True, True)
LPIPS = Column("LPIPS", "LPIPS", 4, False, True)
GMAC = Column("gmacs", "GMAC", 3)
ROWS = [
    dict(method="IN+bicubic", config="b", PSNR=20.0, PSNR_ci95=[19.5, 20.5], PSNR_p=0.001, LPIPS=0.5, gmacs=0.0),
    dict(method="my_net", config="m", PSNR=20.9, PSNR_ci95=[20.4, 21.4], PSNR_p=0.2, gmacs=12.5),
    dict(method="OFHNet", config="o", PSNR=21.0, PSNR_ci95=[20.5, 21.5], LPIPS=0.25, gmacs=2.5),
]
PROTOCOL = {"data": "CelebA", "num_images": 8, "degradation": {"type": "D", "size": 16}, "notes": ["no IoU"]}


def cells(line):
    return [cell.strip() for cell in line.strip("| \\").replace("&", "|").split("|")]


def test_markdown_cell_by_cell():
    lines = markdown_table(ROWS, [PSNR, LPIPS, GMAC], PROTOCOL).splitlines()
    assert cells(lines[0]) == ["method", "PSNR (dB)", "paper", "LPIPS", "GMAC"]
    assert cells(lines[2]) == ["IN+bicubic", "20.00 [19.50, 20.50]", "17.53", "<u>0.5000</u>", "0.000"]
    assert cells(lines[3]) == ["my_net", "<u>20.90</u>† [20.40, 21.40]", "–", "–", "12.500"]
    assert cells(lines[4]) == ["OFHNet", "**21.00** [20.50, 21.50]", "20.44", "**0.2500**", "2.500"]
    assert lines[-1] == "Protocol: data: CelebA; num_images: 8; degradation: (type D, size 16); notes: no IoU."


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
    read = next(csv.DictReader(io.StringIO(csv_table(rows, [PSNR, GMAC], PROTOCOL))))
    assert float(read["PSNR"]) == 1 / 3
    assert (read["PSNR_lo"], read["PSNR_hi"], read["PSNR_p"], read["PSNR_paper"]) == ("19.5", "20.5", "0.001", "17.53")
    assert "gmacs_lo" not in read


def test_the_papers_numbers_stand_only_beside_the_data_they_were_measured_on(tmp_path):
    for data in ("synthetic", "celeba_format", "UTKFace-12k (filtered, CelebA layout, research use)"):
        write_tables(tmp_path / "table1", ROWS, [PSNR, LPIPS], {"data": data})
        assert "paper" not in (tmp_path / "table1.md").read_text()
        assert not any("20.44" in path.read_text() for path in tmp_path.iterdir())


def test_a_terminals_table_fits_eighty_columns():
    rows = [{**row, "SSIM": 0.7, "NRMSE": 3.12, "IoU": 0.5} for row in ROWS]
    columns = [c for columns in tables_of(STANDARD, rows).values() for c in columns]
    for protocol in (PROTOCOL, {"data": "UTKFace-12k (filtered, CelebA layout, research use)", "num_images": 1000}):
        console = Console(width=80, record=True, file=io.StringIO())
        console.print(drawn_table(rows, columns, protocol))
        lines = console.export_text().splitlines()
        assert max(map(len, lines)) <= 80
        assert any("OFHNet" in line and line.split()[1] == "21.00" for line in lines)
        assert any(line.split()[:4] == ["the", "paper", "20.44", "0.63"] for line in lines) == (protocol is PROTOCOL)
        assert "…" not in "".join(lines)


def test_equal_numbers_share_the_mark_and_costs_have_none():
    rows = [dict(a=1.0), dict(a=1.0), dict(a=2.0), dict(a=3.0)]
    assert marks(rows, Column("a", "a", 1, False)) == ["best", "best", "second", ""]
    assert marks(rows, Column("a", "a", 1)) == [""] * 4
    assert marks(rows[:2], Column("a", "a", 1, True)) == ["", ""]  # nobody is better than anybody


class MAE(PerImageMetric):
    """As docs/roles.md shows one."""

    name, decimals, higher_is_better = "MAE", 3, False
    parts: ClassVar = {"MAE_hole": "MAE in hole"}

    def measure(self, sr, hr):
        return {"MAE": (sr - hr).abs().mean((1, 2, 3))}


STANDARD = [METRICS.build(metric) for metric in scoring.STANDARD.values()]
COSTS = ["params", "gmacs", "ms_per_image", "ms_batch1", "core_hours", "budget"]


def test_other_metrics_become_columns_before_the_costs_and_are_bold_where_they_are_best():
    rows = [dict(method="A", PSNR=1.0, PSNR_p=0.5, MAE=0.5, params=3), dict(method="B", MAE=0.25, MAE_hole=0.5)]
    tables = tables_of([MAE(), *STANDARD], rows)
    assert list(tables) == ["table1"]
    assert [c.key for c in tables["table1"]] == ["PSNR", "MAE", "MAE_hole", "params"]
    assert marks(rows, tables["table1"][1]) == ["second", "best"]
    assert "| **0.250** |" in markdown_table(rows, tables["table1"], {})
    assert tables_of(STANDARD, []) == {"table1": []}


def test_the_tables_have_the_papers_order_titles_and_numbers():
    names = [name for metric in STANDARD for name in metric.titles()]
    tables = tables_of(STANDARD, [{"method": "OFHNet", **dict.fromkeys((*names, *COSTS), 1.0)}])
    first = ["PSNR", "SSIM", "LPIPS", "PSNR_hole", "PSNR_known", "LRPSNR", "Consistency"]
    second = ["Identity", "NRMSE", "IoU", "IoU_parts", "NRMSE_hole", "NRMSE_known", "IoU_hole", "IoU_known"]
    assert {name: [c.key for c in columns] for name, columns in tables.items()} == {
        "table1": [*first, *COSTS],
        "table2": second,
    }
    assert [c.title for c in tables["table1"][:4]] == ["PSNR (dB)", "SSIM", "LPIPS", "PSNR in hole"]
    assert [c.title for c in tables["table2"][:3]] == ["identity", "NRMSE (%)", "parsing IoU"]
    assert {c.key: c.higher_is_better for columns in tables.values() for c in columns if c.headline} == {
        "PSNR": True, "SSIM": True, "LPIPS": False, "Identity": True, "NRMSE": False, "IoU": True,
    }  # fmt: skip
    assert PAPER["OFHNet"].keys() <= {c.key for columns in tables.values() for c in columns if c.headline}


def test_four_files_agree(tmp_path):
    markdown = write_tables(tmp_path / "table1", ROWS, [PSNR, LPIPS], PROTOCOL)
    assert (tmp_path / "table1.md").read_text() == markdown
    stored = json.loads((tmp_path / "table1.json").read_text())
    assert stored["protocol"] == PROTOCOL
    assert [row["PSNR"] for row in stored["rows"]] == [20.0, 20.9, 21.0]
    assert stored["rows"][2]["paper"] == pytest.approx({"PSNR": 20.44, "SSIM": 0.63, "NRMSE": 5.33, "IoU": 0.60})
    assert (tmp_path / "table1.tex").is_file()
    assert len((tmp_path / "table1.csv").read_text().splitlines()) == 4


def test_a_method_named_by_a_stranger_stays_in_its_cell():
    rows = [{"method": "=1|<img src=x>\n\x1b[2J", "PSNR": 20.0}]
    columns = [Column("PSNR", "PSNR", 2, True)]
    table = markdown_table(rows, columns, {"data": "a|b\n# c"})
    assert "=1\\|&lt;img src=x> \\x1b[2J" in table.splitlines()[2]
    assert table.splitlines()[-1] == "Protocol: data: a\\|b # c."
    assert next(csv.DictReader(io.StringIO(csv_table(rows, columns, {}))))["method"].startswith("'=1|")
