"""Restore pictures: tiny faces, aligned faces, whole photographs, videos; with or without a hole.

    ofhkit infer photo.jpg --out restored --box 210,95,60,40
    ofhkit infer faces/ 'more/*.png' --out restored --mask masks/
    ofhkit infer damaged.png --out restored --mask auto --uncertainty

    torchrun --nproc_per_node N -m ofhkit infer INPUT --out restored --launcher pytorch

Writes NAME.png, overlays/NAME.png (what was understood), for photographs faces/NAME_1.png …, and results.csv with every
picture's status. A photograph without a hole is copied as it is. Exit code 1: at least one picture failed, and has no
output; the others have theirs.
"""

import warnings
from pathlib import Path

from ofhkit.commands.options import Parser, launcher, whole


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="pictures, videos, folders, glob patterns")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--model", default=None, metavar="NAME|FILE", help="shipped model or safetensors file")
    parser.add_argument(
        "--mask", metavar="FILE|DIR|auto|none",
        help="the hole: a mask file, a folder of them, found by itself, or none (default: where the picture is "
        "transparent)",
    )  # fmt: skip
    parser.add_argument("--invert-mask", action="store_true", help="dark parts of the mask are hidden")
    parser.add_argument("--box", action="append", default=[], metavar="x,y,w,h", help="a hidden rectangle (repeatable)")
    parser.add_argument(
        "--color", action="append", default=[], metavar="R,G,B[,tol]", help="what is painted so is hidden (repeatable)"
    )
    parser.add_argument("--kind", default="auto", help="auto, tiny (16x16), aligned (square crops) or photo")
    parser.add_argument(
        "--paste", default="auto", help="into a photo: the face, or only the hole (as auto): then one without stays"
    )
    parser.add_argument("--face", action="append", default=[], metavar="x,y,w,h", help="where a face is (repeatable)")
    parser.add_argument(
        "--confidence", type=float, default=0.4, metavar="P", help="score from which on a find is a face (0.4)"
    )
    parser.add_argument(
        "--completer",
        default=None,
        metavar="FILE|none",
        help="fills photographs' holes; none, and for a model that is free to use: the 16x16 face does",
    )
    parser.add_argument("--uncertainty", action="store_true", help="also draw where the model is unsure")
    parser.add_argument("--samples", type=whole(1, 64), default=0, metavar="N", help="also draw N other answers")
    parser.add_argument(
        "--credentials", action="store_true", help="sign results: content credentials (C2PA), with ofhkit[provenance]"
    )
    parser.add_argument("--flips", action="store_true", help="mean of both mirror images: better, for twice the time")
    parser.add_argument("--every", type=whole(1), default=1, metavar="N", help="of videos, every N-th frame")
    parser.add_argument("--batch-size", type=whole(1, 2**16), default=64, metavar="N", help="faces at once (64)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    launcher(parser)
    args = parser.parse_args()

    from ofhkit.restoration import MaskOptions, Restorer, restore_files
    from ofhkit.restoration.masks import parse_box, parse_color
    from ofhkit.runtime.distributed import is_main, processes
    from ofhkit.zoo import DEFAULT_MODEL, completer_for, load_completer, load_model

    warnings.filterwarnings("ignore", module=r"PIL\.")  # what is wrong is said in a sentence of our own
    mask = MaskOptions(
        args.mask, [parse_box(b) for b in args.box], [parse_color(c) for c in args.color], args.invert_mask
    )
    with processes(args.launcher, args.device):
        model = load_model(args.model or DEFAULT_MODEL, args.device, args.flips or None)
        completer = None
        if args.completer != "none":
            completer = (
                load_completer(args.completer, args.device) if args.completer else completer_for(model, args.device)
            )
        faces = [parse_box(face, "--face") for face in args.face]
        restorer = Restorer(
            model, mask, args.kind, args.paste, args.batch_size, args.uncertainty, args.samples,
            completer, faces, args.confidence,
        )  # fmt: skip
        done = restore_files(args.inputs, args.out, restorer, args.every, args.credentials)
        if is_main():
            counts = f"{done.count('restored')} restored, {done.failed} failed"
            if untouched := done.count("untouched"):
                counts += f", {untouched} without a hole (nothing restored)"
            print(f"{counts}: {args.out / 'results.csv'}")
            if done.count("restored"):
                print("What lies in a hole now is invented; it shows nobody and proves nothing.")
            return 1 if done.failed else 0
    return 0
