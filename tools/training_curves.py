"""Draw how trainings went, from their logs, and print what they say at each validation.

    python tools/training_curves.py work_dirs/urdgn_celeba work_dirs/fsrcnn_celeba --out docs/pictures

Writes OUT/curve_RUN.svg for each run's stage (PSNR on validation faces over the number of faces seen).
"""

import sys
from pathlib import Path

from ofhkit.commands.options import Parser, run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # of a checkout


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders of runs")
    parser.add_argument("--stage", default="upsampler", help="which of its stages (default: upsampler)")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"), metavar="DIR")
    args = parser.parse_args()

    from benchmarks.curves import curve_chart, curve_table, read_curve

    from ofhkit.runtime.files import atomic_write

    for folder in args.runs:
        rows = read_curve(folder / args.stage)
        print(f"{folder.name}\n\n{curve_table(rows)}\n")
        print(atomic_write(args.out / f"curve_{folder.name}.svg", curve_chart({folder.name: rows})))


if __name__ == "__main__":
    run(main)
