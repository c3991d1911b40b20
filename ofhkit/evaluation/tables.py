"""Rows of numbers as tables: drawn for a terminal, Markdown to read, LaTeX for a paper, CSV and JSON for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ofhkit.errors import printable
from ofhkit.metrics import PerImageMetric
from ofhkit.runtime.files import atomic_write, csv_cell

LEGEND = (
    "Bold: best; underlined: second. In brackets: 95 % bootstrap interval of the mean over the faces. "
    "†: not significantly different from the best (paired permutation test on the same faces, p ≥ 0.05). "
    "±: standard deviation over seeds."
)
_LEVEL = 0.05
Rows = Sequence[Mapping[str, Any]]


def markdown_cell(text: str) -> str:
    """A text that somebody else chose, for a cell of a table: it neither ends the cell nor is HTML.

    >>> markdown_cell('a|b\\n<img>')
    'a\\\\|b &lt;img>'
    """
    return " ".join(printable(text).split()).replace("|", r"\|").replace("<", "&lt;")


def marks(rows: Rows, column: Column) -> list[str]:
    """For every row ``best``, ``second`` or nothing; equal numbers share the mark.

    >>> marks([dict(a=1.0), dict(a=3.0), dict(a=2.0), {}], Column('a', 'a', 1, True))
    ['', 'best', 'second', '']
    """
    values = sorted({row[column.key] for row in rows if column.key in row}, reverse=bool(column.higher_is_better))
    if column.higher_is_better is None or len(values) < 2:
        return [""] * len(rows)
    names = {values[0]: "best", values[1]: "second"}
    return [names.get(row.get(column.key), "") for row in rows]


def number(value: float, decimals: int) -> str:
    """A number as shown.

    >>> number(2543123, 0), number(0.5, 4), number(20.0, 2)
    ('2,543,123', '0.5000', '20.00')
    """
    return f"{value:,.{decimals}f}"


def _shown(row: Mapping[str, Any], column: Column) -> str | None:
    if column.key not in row:
        return None
    return f"{row[column.key]:g}" if column.key == "budget" else number(row[column.key], column.decimals)


def _interval(row: Mapping[str, Any], column: Column) -> str | None:
    if f"{column.key}_sd" in row:
        return f"± {number(row[f'{column.key}_sd'], column.decimals)}"
    ends = row.get(f"{column.key}_ci95") if column.headline else None
    return None if ends is None else f"[{', '.join(number(end, column.decimals) for end in ends)}]"


def _tied(row: Mapping[str, Any], column: Column) -> bool:
    return column.headline and row.get(f"{column.key}_p", 0.0) >= _LEVEL


def _paper(rows: Rows, column: Column, protocol: Mapping[str, Any]) -> list[str] | None:
    """The paper's number beside each row; None where it has none for any of them, or measured other data."""
    values = [paper_numbers(row["method"], protocol).get(column.key) for row in rows] if column.headline else []
    return ["–" if v is None else f"{v:.2f}" for v in values] if any(v is not None for v in values) else None


def markdown_table(rows: Rows, columns: Sequence[Column], protocol: Mapping[str, Any]) -> str:
    """One line a method, the paper's numbers beside ours, the protocol underneath.

    >>> rows = [dict(method='OFHNet', PSNR=21.0), dict(method='B', PSNR=20.0)]
    >>> print(markdown_table(rows, [Column('PSNR', 'PSNR', 2, True, True)], dict(data='celeba')).splitlines()[2])
    | OFHNet | **21.00** | 20.44 |
    """
    titles = ["method"]
    cells = [[markdown_cell(row["method"])] for row in rows]
    for column in columns:
        paper = _paper(rows, column, protocol)
        titles += [markdown_cell(column.title)] + ["paper"] * (paper is not None)
        for line, row, mark in zip(cells, rows, marks(rows, column)):
            text = _shown(row, column)
            if text is None:
                line.append("–")
            else:
                text = {"best": f"**{text}**", "second": f"<u>{text}</u>", "": text}[mark]
                parts = (text + "†" * _tied(row, column), _interval(row, column))
                line.append(" ".join(part for part in parts if part))
        for line, number_of_paper in zip(cells, paper or ()):
            line.append(number_of_paper)
    lines = [titles, ["---"] + ["---:"] * (len(titles) - 1), *cells]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{LEGEND}\n\n{markdown_cell(_protocol_text(protocol))}\n"


def _protocol_text(protocol: Mapping[str, Any]) -> str:
    return "Protocol: " + "; ".join(f"{key}: {_plain(value)}" for key, value in protocol.items()) + "." * bool(protocol)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{k} {_plain(v)}" for k, v in value.items()) + ")"
    return ", ".join(map(_plain, value)) if isinstance(value, list | tuple) else str(value)


def latex_table(rows: Rows, columns: Sequence[Column], protocol: Mapping[str, Any]) -> str:
    r"""A ``table`` environment that needs no package, with the protocol in the caption.

    >>> r'\textbf{21.00}' in latex_table([dict(method='A', PSNR=21.0), dict(method='B', PSNR=20.0)],
    ...     [Column('PSNR', 'PSNR', 2, True, True)], {})
    True
    """
    titles = ["method"]
    cells = [[_escape(row["method"])] for row in rows]
    for column in columns:
        paper = _paper(rows, column, protocol)
        titles += [_escape(column.title)] + ["paper"] * (paper is not None)
        for line, row, mark in zip(cells, rows, marks(rows, column)):
            text = _shown(row, column)
            if text is not None:
                text = {"best": rf"\textbf{{{text}}}", "second": rf"\underline{{{text}}}", "": text}[mark]
                text += r"$^\dagger$" * _tied(row, column)
                interval = _interval(row, column)
                text += rf" {{\scriptsize {interval}}}" if interval else ""
            line.append(text or "--")
        for line, number_of_paper in zip(cells, paper or ()):
            line.append(number_of_paper.replace("–", "--"))
    body = "\n".join(" & ".join(line) + r" \\" for line in cells)
    caption = (
        _escape(f"{LEGEND} {_protocol_text(protocol)}")
        .replace("†", r"$^\dagger$")
        .replace("≥", r"$\geq$")
        .replace("±", r"$\pm$")
    )
    return "\n".join([
        r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{l{'r' * (len(titles) - 1)}}}", r"\hline",
        " & ".join(titles) + r" \\", r"\hline", body, r"\hline", r"\end{tabular}",
        rf"\caption{{{caption}}}", r"\end{table}", "",
    ])  # fmt: skip


def _escape(text: str) -> str:
    for character in r"\&%$#_{}":
        text = text.replace(character, r"\textbackslash " if character == "\\" else f"\\{character}")
    return text


def drawn_table(rows: Rows, columns: Sequence[Column], protocol: Mapping[str, Any]) -> Table:
    """The headlines and the work for a face, to be printed by rich: bold is best, underlined is second."""
    data = printable(f"{protocol.get('num_images', '?')} test faces of {protocol.get('data', '?')}")
    table = Table("method", title=data, title_justify="left", title_style="", box=SIMPLE_HEAD, padding=0)
    shown = [c for c in columns if c.headline or c.key == "gmacs"]
    for column in shown:
        table.add_column(escape(column.title), justify="right")
    of_marks = [marks(rows, column) for column in shown]
    styles = {"best": "bold", "second": "underline", "": "none"}
    for i, row in enumerate(rows):
        cells = (f"[{styles[m[i]]}]{_shown(row, c) or '–'}[/]" for c, m in zip(shown, of_marks))
        table.add_row(escape(printable(row["method"])), *cells)
        if paper := paper_numbers(row["method"], protocol):
            table.add_row("  the paper", *(f"{paper[c.key]:.2f}" if c.key in paper else "" for c in shown), style="dim")
    return table


def csv_table(rows: Rows, columns: Sequence[Column], protocol: Mapping[str, Any]) -> str:
    """All numbers at full precision: value, interval, p-value and the paper's number a column."""
    fields = ["method", "config"]
    for column in columns:
        fields.append(column.key)
        if column.headline:
            fields += [f"{column.key}_{part}" for part in ("lo", "hi", "p", "sd", "paper")]
    out = io.StringIO()
    writer = csv.DictWriter(out, fields, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        flat = {key: csv_cell(value) for key, value in row.items()}
        for key in (c.key for c in columns if c.headline):
            flat[f"{key}_lo"], flat[f"{key}_hi"] = row.get(f"{key}_ci95", ("", ""))
            flat[f"{key}_paper"] = paper_numbers(row["method"], protocol).get(key, "")
        writer.writerow(flat)
    return out.getvalue()


def write_tables(stem: Path, rows: Rows, columns: Sequence[Column], protocol: Mapping[str, Any]) -> str:
    """Write ``stem`` as .md, .csv, .tex and .json; returns the Markdown."""
    markdown = markdown_table(rows, columns, protocol)
    keys = [key for c in columns for key in (c.key, *(f"{c.key}_{part}" for part in ("ci95", "p", "sd")))]
    plain = [
        {k: row[k] for k in ("method", "config", *keys) if k in row} | {"paper": paper_numbers(row["method"], protocol)}
        for row in rows
    ]
    document = {"protocol": protocol, "columns": {c.key: c.title for c in columns}, "rows": plain}
    atomic_write(stem.with_suffix(".md"), markdown)
    atomic_write(stem.with_suffix(".csv"), csv_table(rows, columns, protocol))
    atomic_write(stem.with_suffix(".tex"), latex_table(rows, columns, protocol))
    atomic_write(stem.with_suffix(".json"), json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False))
    return markdown


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        key: of a row.
        title: with unit.
        decimals: shown.
        higher_is_better: whether more is better; None = neither is marked.
        headline: shown with its interval, significance and the paper's number.
    """

    key: str
    title: str
    decimals: int
    higher_is_better: bool | None = None
    headline: bool = False


TABLE1 = ("PSNR", "SSIM", "PSNR_Y", "SSIM_Y", "LPIPS", "PSNR_hole", "PSNR_known", "LRPSNR", "Consistency")
"""Image quality, in this order; a metric of someone else follows, then the costs."""
TABLE2 = ("Identity", "NRMSE", "IoU", "IoU_parts", "NRMSE_hole", "NRMSE_known", "IoU_hole", "IoU_known")
"""The person, and facial structure."""
COSTS = (
    Column("params", "parameters", 0),
    Column("gmacs", "GMAC", 3),
    Column("ms_per_image", "ms (batch 64)", 2),
    Column("ms_batch1", "ms (batch 1)", 2),
    Column("core_hours", "core-hours", 2),
    Column("budget", "budget", 4),
)
PAPER: dict[str, dict[str, float]] = {  # arXiv 1811.04645, Tables 1 and 2
    "IN+bicubic": {"PSNR": 17.53, "SSIM": 0.44},
    "IN+Ma": {"PSNR": 17.36, "SSIM": 0.44},
    "IN+VDSR": {"PSNR": 19.60, "SSIM": 0.53},
    "IN+FSRCNN": {"PSNR": 19.78, "SSIM": 0.54},
    "IN+URDGN": {"PSNR": 20.00, "SSIM": 0.57, "NRMSE": 13.61, "IoU": 0.40},
    "OFHNet": {"PSNR": 20.44, "SSIM": 0.63, "NRMSE": 5.33, "IoU": 0.60},
}


def paper_numbers(method: str, protocol: Mapping[str, Any]) -> Mapping[str, float]:
    """The paper's numbers of a method; none where another task or other data were scored than the paper's, CelebA.

    >>> paper_numbers('OFHNet', {'data': 'celeba'})['PSNR'], paper_numbers('OFHNet', {'data': 'synthetic'})
    (20.44, {})
    """
    same = str(protocol.get("data", "")).lower() == "celeba" and protocol.get("rule") != "dic"
    return PAPER.get(method, {}) if same else {}


def columns_of(metric: type[PerImageMetric] | PerImageMetric) -> dict[str, Column]:
    """Number -> column, as the metric says of itself; its parts are no headlines.

    >>> from ofhkit.metrics import LPIPS
    >>> columns_of(LPIPS)['LPIPS']
    Column(key='LPIPS', title='LPIPS', decimals=4, higher_is_better=False, headline=True)
    """
    return {
        key: Column(key, title, metric.decimals, metric.higher_is_better, metric.headline and key == metric.name)
        for key, title in metric.titles().items()
    }


def tables_of(metrics: Iterable[PerImageMetric], rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Column]]:
    """``table1`` (quality, others' metrics, costs) and, where there is any of it, ``table2`` (structure).

    Only columns that at least one row has a number for.
    """
    metrics = list(metrics)
    said = {key: column for metric in metrics for key, column in columns_of(metric).items()}
    own = {*TABLE1, *TABLE2}
    others = [column for m in metrics if m.name not in own for column in columns_of(m).values()]
    first, second = ([said[key] for key in keys if key in said] for keys in (TABLE1, TABLE2))
    tables = {"table1": [*first, *others, *COSTS], "table2": second}
    present = {name: [c for c in columns if any(c.key in row for row in rows)] for name, columns in tables.items()}
    return {name: columns for name, columns in present.items() if columns or name == "table1"}
