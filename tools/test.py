"""Score trained methods and print the comparison table.

    python tools/test.py [configs/*_celeba.py] --out outputs

Without a CONFIG, everything that is finished under the work dir is scored, as it was trained.
"""

from pathlib import Path

from ofhkit.cli import Parser, common, run


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("configs", nargs="*", type=Path, metavar="CONFIG", help="configuration files")
    common(parser)
    parser.add_argument("--out", type=Path, default=Path("outputs"), metavar="DIR", help="for tables and results.json")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="score this model.safetensors")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N test faces")
    args = parser.parse_args()

    from ofhkit import apis
    from ofhkit.config import parse_options

    apis.compare(
        args.configs,
        work_dir=args.work_dir,
        data_root=args.data_root,
        out=args.out,
        checkpoint=args.checkpoint,
        limit=args.limit,
        device=args.device,
        cfg_options=parse_options(args.cfg_options),
    )


if __name__ == "__main__":
    run(main)
