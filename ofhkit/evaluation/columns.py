"""What the columns of the tables are: titles, decimals, which way is better, and the paper's own numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["PAPER", "TABLE1", "TABLE2", "Column", "higher_is_better", "present", "with_others"]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        key: of a row.
        title: with unit.
        decimals: shown.
        higher: whether more is better; None = neither is marked.
        headline: shown with its interval, significance and the paper's number.
    """

    key: str
    title: str
    decimals: int
    higher: bool | None = None
    headline: bool = False


TABLE1 = (
    Column("PSNR", "PSNR (dB)", 2, True, True),
    Column("SSIM", "SSIM", 4, True, True),
    Column("LPIPS", "LPIPS", 4, False, True),
    Column("PSNR_hole", "PSNR in hole", 2, True),
    Column("PSNR_known", "PSNR outside", 2, True),
    Column("LRPSNR", "LR-PSNR of IN", 2, True),
    Column("Consistency", "consistency (dB)", 2, True),
    Column("params", "parameters", 0),
    Column("gmacs", "GMAC", 3),
    Column("ms_per_image", "ms (batch 64)", 2),
    Column("ms_batch1", "ms (batch 1)", 2),
    Column("budget", "budget", 4),
)
TABLE2 = (
    Column("NRMSE", "NRMSE (%)", 2, False, True),
    Column("IoU", "parsing IoU", 4, True, True),
    Column("IoU_parts", "IoU without background", 4, True),
    Column("NRMSE_hole", "NRMSE in hole", 2, False),
    Column("NRMSE_known", "NRMSE outside", 2, False),
    Column("IoU_hole", "IoU in hole", 4, True),
    Column("IoU_known", "IoU outside", 4, True),
)
PAPER: dict[str, dict[str, float]] = {  # arXiv 1811.04645, Tables 1 and 2
    "IN+bicubic": {"PSNR": 17.53, "SSIM": 0.44},
    "IN+Ma": {"PSNR": 17.36, "SSIM": 0.44},
    "IN+VDSR": {"PSNR": 19.60, "SSIM": 0.53},
    "IN+FSRCNN": {"PSNR": 19.78, "SSIM": 0.54},
    "IN+URDGN": {"PSNR": 20.00, "SSIM": 0.57, "NRMSE": 13.61, "IoU": 0.40},
    "OFHNet": {"PSNR": 20.44, "SSIM": 0.63, "NRMSE": 5.33, "IoU": 0.60},
}
_LOWER = ("LPIPS", "NRMSE")
_NOT_METRICS = ("_ci95", "_p")


def higher_is_better(metric: str) -> bool:
    """Whether more is better.

    >>> higher_is_better('PSNR_hole'), higher_is_better('NRMSE')
    (True, False)
    """
    return not metric.startswith(_LOWER)


def present(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The columns that at least one row has a number for."""
    return [column for column in columns if any(column.key in row for row in rows)]


def with_others(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Table 1's columns and, before the costs, whatever other metrics (a plugin's) the rows hold."""
    known = {c.key for c in (*TABLE1, *TABLE2)} | {"SSIM_hole", "SSIM_known", "LPIPS_hole", "LPIPS_known"}
    keys = dict.fromkeys(k for row in rows for k, v in row.items() if isinstance(v, float))
    others = [
        Column(k, k, 4, higher_is_better(k))
        for k in keys
        if k not in known and not k.endswith(_NOT_METRICS) and not k.startswith("LRPSNR")
    ]
    columns = list(TABLE1)
    at = next(i for i, c in enumerate(columns) if c.key == "params")
    return present([*columns[:at], *others, *columns[at:]], rows)
