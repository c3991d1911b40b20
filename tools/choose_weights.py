"""Choose the weights of losses on validation faces: one short training for each combination, and a table.

    python tools/choose_weights.py configs/ofhnet_plus_perceptual_celeba.py --data-root DIR --budget 0.02 \\
        --weight adversarial=0,0.0004,0.001 --weight structure=0,0.2

A weight of 0 leaves its loss in, without effect. Every training is an ordinary run under the work dir and is not done
twice. Test faces are never looked at.
"""

import itertools
import sys
from pathlib import Path

from ofhkit.commands.options import Parser, common, factor, run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # of a checkout


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("config", type=Path, help="configuration file")
    common(parser)
    parser.add_argument(
        "--weight", action="append", required=True, metavar="LOSS=W,W,…", help="weights to try (repeatable)"
    )
    parser.add_argument("--budget", type=factor, default=1.0, metavar="F", help="scale every stage's iterations by F")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="validation faces (default: 100)")
    args = parser.parse_args()

    from benchmarks.choose_weights import choose_weights, parse_weights

    from ofhkit.config import parse_options
    from ofhkit.training.curriculum import Options

    options = Options(work_dir=args.work_dir, budget=args.budget, device=args.device)
    named = dict(map(parse_weights, args.weight))
    combinations = [dict(zip(named, values)) for values in itertools.product(*named.values())]
    print(
        choose_weights(args.config, combinations, options, args.data_root, parse_options(args.cfg_options), args.limit)
    )


if __name__ == "__main__":
    run(main)
