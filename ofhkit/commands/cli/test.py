"""Score trained methods and print the comparison tables.

    ofhkit test [configs/*_celeba.py] --out outputs
    ofhkit test --sweep size position
    ofhkit test configs/ablation/*.py --out outputs/ablation
    ofhkit test work_dirs/ofhnet_synthetic+upsampler=FSRCNN
    ofhkit test ofhnet-plus gaussian --data-root DIR
    ofhkit test ofhnet-plus --protocol dic --data-root DIR

A CONFIG is a configuration file, which means its finished run; or the folder of a run; or a model that ships, or a
release file, which is scored by the paper's protocol. Without one, everything that is finished under the work dir is
scored, as it was trained. Writes table1 and table2
(.md .csv .tex .json), results.json, per_image.csv, grid.png, landmarks.png and report.html, which holds all of it.
"""

from pathlib import Path

from ofhkit.commands.options import Parser, common, launcher, whole
from ofhkit.config.find import existing, find_config


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument(
        "configs",
        nargs="*",
        type=Path,
        metavar="CONFIG",
        help="configuration files, folders of runs, or models",
    )
    common(parser)
    launcher(parser)
    parser.add_argument("--out", type=Path, default=Path("outputs"), metavar="DIR", help="for tables and results.json")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="score this model.safetensors")
    parser.add_argument("--limit", type=whole(1), metavar="N", help="only the first N test faces")
    parser.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help="only these: psnr ssim lpips identity nrmse iou vif …, or quick, standard, all",
    )
    parser.add_argument("--faces", nargs="+", type=whole(0), metavar="N", help="faces to show (default: the first)")
    parser.add_argument("--alone", action="store_true", help="leave out the rows that need no training (bicubic …)")
    parser.add_argument("--flips", action="store_true", help="mean of both mirror images, for twice the time")
    sweeps = ("size", "position")
    parser.add_argument("--sweep", nargs="+", choices=sweeps, default=(), help="score one hole after another")
    parser.add_argument(
        "--groups",
        type=Path,
        metavar="FILE",
        help="CSV name,group: each group's gain over bicubic, the worst one's gap",
    )
    parser.add_argument(
        "--protocol",
        choices=("paper", "dic"),
        default="paper",
        help="dic: clean x8 by the rule of DIC, SPARNet and SFMNet (luminance, 8 pixels cut)",
    )
    parser.add_argument("--sweep-limit", type=whole(1), default=200, metavar="N", help="faces for that (default: 200)")
    args = parser.parse_args()
    for config in args.configs:
        if config.suffix == ".py":
            existing(find_config(config))  # before torch is imported

    from ofhkit.config import parse_options
    from ofhkit.evaluation.compare import compare
    from ofhkit.runtime.distributed import processes

    with processes(args.launcher, args.device):
        compare(
            args.configs,
            work_dir=args.work_dir,
            data_root=args.data_root,
            out=args.out,
            checkpoint=args.checkpoint,
            limit=args.limit,
            device=args.device,
            cfg_options=parse_options(args.cfg_options),
            metrics=args.metrics,
            sweeps=args.sweep,
            sweep_limit=args.sweep_limit,
            faces=args.faces,
            flips=args.flips,
            alone=args.alone,
            protocol=args.protocol,
            groups=args.groups,
        )
