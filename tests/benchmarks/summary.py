"""The README's table of speeds, made from the benchmark's own files in ``docs/results``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ofhkit.errors import OfhkitError

INFERENCE = "benchmark_inference.json", "benchmark_inference_cpu_bfloat16.json"
TRAINING = "benchmark_train.json"
OTHERS = {
    "fused float32": ("eager", "ONNX Runtime fp32", "OpenVINO fp32"),
    "fused bfloat16": ("eager", None, "OpenVINO bf16"),
}


def speed_table(folder: Path) -> str:
    """Return the Markdown table for the default widths: our images a second, and how many times the others'.

    Raises:
        OfhkitError: a file is missing; names the command that writes it.
    """
    lines = ["| OFHNet's upsampler | images/s | x eager | x ONNX Runtime | x OpenVINO |", "|---|---:|---:|---:|---:|"]
    for file in INFERENCE:
        rows = _read(folder, file)[0]["rows"]
        for row in rows:
            if row["variant"] in OTHERS:
                ratios = [_times(row, rows, other) for other in OTHERS[row["variant"]]]
                name = f"inference, {row['variant'].removeprefix('fused ')}, batch {row['batch']}"
                lines.append(f"| {name} | {row['images/s']:.1f} | " + " | ".join(ratios) + " |")
    for row in _read(folder, TRAINING)[0]["rows"]:
        if row["variant"].startswith("ofhkit"):
            name = f"training step, {'bfloat16' if 'bfloat16' in row['variant'] else 'float32'}, batch {row['batch']}"
            lines.append(f"| {name} | {row['images/s']:.1f} | {row['x naive']:.2f} | | |")
    return "\n".join(lines)


def _times(row: dict, rows: list[dict], other: str | None) -> str:
    there = [r for r in rows if r["variant"] == other and r["batch"] == row["batch"]]
    return f"{row['images/s'] / there[0]['images/s']:.2f}" if there else ""


def _read(folder: Path, file: str) -> Any:
    try:
        return json.loads((folder / file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        precision = " --precision bfloat16" if "bfloat16" in file else ""
        what = "train" if file == TRAINING else "inference"
        raise OfhkitError(f"{folder / file} is not there: python tools/benchmark.py {what}{precision}") from None
