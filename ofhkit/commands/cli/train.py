"""Train a method: every stage of its curriculum that is not done yet.

    ofhkit train configs/ofhnet_celeba.py --data-root DIR [--budget 0.01]

    torchrun --nproc_per_node N -m ofhkit train CONFIG --launcher pytorch

Goes on by itself where it was stopped. Stages that methods share are trained once.
"""

from pathlib import Path

from ofhkit.commands.options import Parser, common, factor, launcher, whole
from ofhkit.config.find import existing, find_config


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("config", type=Path, help="configuration file")
    common(parser)
    launcher(parser)
    parser.add_argument("--budget", type=factor, default=1.0, metavar="F", help="scale every stage's iterations by F")
    parser.add_argument("--stages", nargs="+", metavar="STAGE", help="run only these stages")
    parser.add_argument("--amp", action="store_true", help="mixed precision where the device is good at it")
    parser.add_argument("--seed", type=whole(0, 2**32 - 1), help="of weights, order, flips and holes")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on where a run was stopped (the default)")
    again.add_argument("--fresh", action="store_true", help="start anew; earlier results are set aside")
    args = parser.parse_args()
    existing(find_config(args.config))  # before torch is imported

    from ofhkit.config import parse_options
    from ofhkit.runtime.distributed import processes
    from ofhkit.training.curriculum import Options, train

    options = Options(
        work_dir=args.work_dir,
        budget=args.budget,
        stages=tuple(args.stages) if args.stages else None,
        device=args.device,
        amp=args.amp,
        fresh=args.fresh,
    )
    with processes(args.launcher, args.device):
        train(args.config, options, args.data_root, parse_options(args.cfg_options), args.seed)
