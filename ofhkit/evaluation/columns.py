"""Which columns the tables have, in which order, and the paper's own numbers; the rest a metric says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ofhkit.metrics import PerImageMetric

__all__ = ["PAPER", "Column", "columns_of", "paper_numbers", "tables_of"]


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


TABLE1 = ("PSNR", "SSIM", "LPIPS", "PSNR_hole", "PSNR_known", "LRPSNR", "Consistency")
"""Image quality, in this order; a metric of someone else follows, then the costs."""
TABLE2 = ("Identity", "NRMSE", "IoU", "IoU_parts", "NRMSE_hole", "NRMSE_known", "IoU_hole", "IoU_known")
"""The person, and facial structure."""
COSTS = (
    Column("params", "parameters", 0),
    Column("gmacs", "GMAC", 3),
    Column("ms_per_image", "ms (batch 64)", 2),
    Column("ms_batch1", "ms (batch 1)", 2),
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
    """The paper's numbers of a method; none where other data were scored than the paper's, CelebA.

    >>> paper_numbers('OFHNet', {'data': 'celeba'})['PSNR'], paper_numbers('OFHNet', {'data': 'synthetic'})
    (20.44, {})
    """
    return PAPER.get(method, {}) if str(protocol.get("data", "")).lower() == "celeba" else {}


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
