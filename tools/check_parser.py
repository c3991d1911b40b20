"""Look whether the parser that scores Table 2 is right on real faces: its labels at places known from the landmarks.

    python tools/check_parser.py --data-root DIR [--weights work_dirs/shared/parser-…/weights.safetensors]

Prints, place by place, the share of test faces with the right label, on real faces and on rendered ones.
"""

import sys
from pathlib import Path

from ofhkit.commands.options import Parser, run, whole

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # of a checkout


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument(
        "--data-root", type=Path, required=True, metavar="DIR", help="real faces: a pack or a CelebA folder"
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="default: those that ship with the package")
    parser.add_argument(
        "--limit", type=whole(1), default=1000, metavar="N", help="test faces of each kind (default: 1000)"
    )
    args = parser.parse_args()

    from benchmarks.parser_check import check_parser

    from ofhkit.data.celeba.prepare import find_or_prepare
    from ofhkit.data.packed import PackedFaces
    from ofhkit.evaluation.scoring import PARSER
    from ofhkit.registry import PRIORS
    from ofhkit.rendering import SyntheticFaces
    from ofhkit.zoo.weights import load_strictly, load_weights

    network = PRIORS.build(dict(type="FaceParser", weights=None if args.weights else PARSER))
    if args.weights:
        load_strictly(network, load_weights(args.weights)[0], str(args.weights))
    network.eval()
    real = PackedFaces(find_or_prepare(args.data_root), "test", args.limit)
    rendered = SyntheticFaces(min(args.limit, 200), split="test")
    shares = {real.metainfo["name"]: check_parser(network, real), "rendered": check_parser(network, rendered)}
    print("| place | " + " | ".join(f"{name} (%)" for name in shares) + " |\n|---|" + "---:|" * len(shares))
    for place in shares["rendered"]:
        print(f"| {place} | " + " | ".join(f"{share[place]:.1f}" for share in shares.values()) + " |")


if __name__ == "__main__":
    run(main)
