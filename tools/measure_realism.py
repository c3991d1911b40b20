"""Measure how real the rendered faces are: train on them and on as many real faces, test both on real faces.

    python tools/measure_realism.py --data-root DIR --out docs/results/realism.md

Prints landmark errors (percent of the eye distance) and PSNR/SSIM of a short OFHNet; the gaps between the last two rows
are what the renderer still lacks. About 16 minutes on one CPU core with --amp.
"""

import sys
from pathlib import Path

from ofhkit.commands.options import Parser, common, factor, run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # of a checkout


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("config", nargs="?", type=Path, default=Path("configs/ofhnet_synthetic.py"))
    common(parser)
    parser.add_argument("--budget", type=factor, default=1.0, metavar="F", help="scale every stage's iterations by F")
    parser.add_argument("--amp", action="store_true", help="mixed precision where the device is good at it")
    parser.add_argument("--out", type=Path, metavar="FILE.md", help="write the table there too")
    args = parser.parse_args()

    from benchmarks.realism import measure_realism, realism_table

    from ofhkit.config import parse_options
    from ofhkit.errors import OfhkitError
    from ofhkit.runtime.files import atomic_write
    from ofhkit.training.curriculum import Options

    if args.data_root is None:
        raise OfhkitError("--data-root is missing: name a folder of real faces, prepared or in CelebA's own form")
    options = Options(work_dir=args.work_dir, budget=args.budget, device=args.device, amp=args.amp)
    result = measure_realism(args.config, args.data_root, options, parse_options(args.cfg_options))
    table = realism_table(result, args.config, options)
    print(table)
    if args.out:
        atomic_write(args.out, f"# Rendered against real training faces\n\n{table}")


if __name__ == "__main__":
    run(main)
