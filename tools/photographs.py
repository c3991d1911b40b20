"""The inpainter that fills the holes of photographs at 128x128: fit, train, measure (docs/photographs.md).

    python tools/photographs.py fit --data-root DIR --out prior.safetensors       one pass over training faces
    python tools/photographs.py curve --data-root DIR --completer prior.safetensors      its size and its scores
    python tools/photographs.py train --data-root DIR --completer prior.safetensors --out photographs.safetensors
    python tools/photographs.py compare --data-root DIR            every way to fill a hole

``curve`` and ``compare`` write a table to docs/results.
"""

from pathlib import Path

from ofhkit.commands.options import Parser, run

RANKS, STEPS = (25, 50, 100, 150), (8, 14, 20)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("command", choices=("fit", "curve", "train", "compare"))
    parser.add_argument("--data-root", required=True, metavar="DIR", help="a pack of tools/prepare_celeba.py")
    parser.add_argument("--completer", metavar="FILE", help="the inpainter that ships, or this one")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the file to write")
    parser.add_argument("--licence", default="", help="what the weights may be used for, one line")
    parser.add_argument("--rank", type=int, default=150, metavar="N", help="of fit: components a parity (150)")
    parser.add_argument("--count", type=int, default=60, metavar="N", help="faces to score (60), or to train on")
    parser.add_argument("--minutes", type=float, default=30, metavar="M", help="of training (30)")
    parser.add_argument("--model", nargs="+", default=["ofhnet", "ofhnet-plus"], help="pipelines to compare with")
    args = parser.parse_args()

    import torch

    from ofhkit.commands import photographs
    from ofhkit.data.packed import PackedFaces
    from ofhkit.errors import OfhkitError
    from ofhkit.models.inpainters import RefinedInpainter
    from ofhkit.ops import device_name
    from ofhkit.runtime.files import atomic_write
    from ofhkit.training.photographs import fit_prior, train_refiner
    from ofhkit.zoo import load_completer, load_model
    from ofhkit.zoo.completer import COMPLETER, save_completer

    if args.command in ("fit", "train"):
        if args.out is None:
            raise OfhkitError(f"{args.command} writes weights: name their file with --out")
        faces = PackedFaces(args.data_root, "train")
        header = {"licence": args.licence, "data": faces.metainfo["name"]}
        if args.command == "fit":
            prior = fit_prior(faces, args.rank)
            print(
                save_completer(args.out, {"type": "SpectralInpainter", "rank": args.rank}, prior.state_dict(), **header)
            )
            return
        prior = load_completer(args.completer or COMPLETER, "cpu")
        network = train_refiner(faces, getattr(prior, "inpainter", prior), args.count, args.minutes)
        config = {"type": "RefinedInpainter", "inpainter": {"type": "SpectralInpainter"}}
        print(save_completer(args.out, config, network.state_dict(), **header))
        return
    completer = load_completer(args.completer or COMPLETER, "cpu")
    prior = getattr(completer, "inpainter", completer)
    split = "val" if args.command == "curve" else "test"
    painted = photographs.Painted(args.data_root, split, args.count)
    if args.command == "curve":
        table = photographs.curve(prior, painted, RANKS, STEPS)
    else:
        models = {name: load_model(name, "cpu") for name in args.model}
        completers = {"prior at 128x128": prior}
        if isinstance(completer, RefinedInpainter):
            completers["prior and network"] = completer
        table = photographs.compare(models, completers, painted)
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
