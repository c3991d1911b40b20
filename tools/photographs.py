"""The inpainter that fills the holes of photographs at 128x128: fit, measure (docs/photographs.md).

    python tools/photographs.py fit --data-root DIR --out prior.safetensors       one pass over training faces
    python tools/photographs.py curve --data-root DIR --completer prior.safetensors      its size and its scores
    python tools/photographs.py detail --data-root DIR             how much of a model's detail to mix in
    python tools/photographs.py compare --data-root DIR            every way to fill a hole
    python tools/photographs.py sheet --data-root DIR --count 24 --out sheet.png    hole, restored, true: to look at

``curve``, ``detail`` and ``compare`` write a table to docs/results.
"""

import sys
from pathlib import Path

from ofhkit.commands.options import Parser, run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # of a checkout

RANKS, STEPS = (25, 50, 100, 150), (8, 14, 20)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("command", choices=("fit", "curve", "detail", "compare", "sheet"))
    parser.add_argument("--data-root", required=True, metavar="DIR", help="a pack of tools/prepare_celeba.py")
    parser.add_argument("--completer", metavar="FILE", help="the inpainter that ships, or this one")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the file to write")
    parser.add_argument("--licence", default="", help="what the weights may be used for, one line")
    parser.add_argument("--rank", type=int, default=150, metavar="N", help="of fit: components a parity (150)")
    parser.add_argument("--count", type=int, default=60, metavar="N", help="faces to score (60)")
    parser.add_argument(
        "--model", nargs="+", default=["ofhnet", "ofhnet-plus", "ofhnet-plus-perceptual"], help="pipelines"
    )
    args = parser.parse_args()

    import torch
    from benchmarks import photographs

    from ofhkit.data.packed import PackedFaces
    from ofhkit.errors import OfhkitError
    from ofhkit.functional.images import write_png
    from ofhkit.ops import device_name
    from ofhkit.runtime.files import atomic_write
    from ofhkit.zoo import COMPLETER, load_completer, load_model, save_completer

    if args.command == "fit":
        if args.out is None:
            raise OfhkitError("fit writes weights: name their file with --out")
        faces = PackedFaces(args.data_root, "train")
        header = {"licence": args.licence, "data": faces.metainfo["name"]}
        prior = photographs.fit_prior(faces, args.rank)
        config = {"type": "SpectralInpainter", "rank": args.rank}
        print(save_completer(args.out, config, prior.state_dict(), **header))
        return
    prior = load_completer(args.completer or COMPLETER, "cpu")
    split = "val" if args.command in ("curve", "detail") else "test"
    painted = photographs.Painted(args.data_root, split, args.count)
    if args.command == "sheet":
        picture = photographs.sheet(load_model(args.model[-1], "cpu"), prior, painted)
        print(write_png(args.out or Path("sheet.png"), picture))
        return
    if args.command == "curve":
        table = photographs.curve(prior, painted, RANKS, STEPS)
    else:
        models = {name: load_model(name, "cpu") for name in args.model}
        measure = photographs.compare if args.command == "compare" else photographs.shares
        table = measure(models, prior, painted)
    name = PackedFaces(args.data_root, "test").metainfo["name"]
    machine = (
        f"{device_name(torch.device('cpu'))} ({torch.backends.cpu.get_cpu_capability()}), torch {torch.__version__}"
    )
    where = f"{len(painted.hr)} {split} faces of {name}; {machine}"
    text = f"# Photographs: {args.command}\n\n`tools/photographs.py {args.command}`\n\n{table}\n\n{where}.\n"
    print(atomic_write(args.out or Path(f"docs/results/photographs_{args.command}.md"), text))
    print(text)


if __name__ == "__main__":
    run(main)
