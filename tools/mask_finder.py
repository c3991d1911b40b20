"""The network that finds what hides a face: train it, measure it (docs/results/mask_finder.md).

python tools/mask_finder.py train --data-root DIR --out mask_finder.safetensors --licence TEXT
python tools/mask_finder.py train --prior gaussian-synthetic --out FILE --licence TEXT        on rendered faces
python tools/mask_finder.py measure --data-root DIR
python tools/mask_finder.py picture        docs/pictures/found.jpg, of scikit-image's portrait
"""

import sys
from pathlib import Path

from ofhkit.commands.options import Parser, run
from ofhkit.runtime.files import ASSETS

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # of a checkout


FINDER = ASSETS / "mask_finder.safetensors"
RENDERED, HELD = 1600, 200  # rendered faces, and how many of them the threshold is chosen on


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("command", choices=("train", "measure", "picture"))
    parser.add_argument("--data-root", metavar="DIR", help="a pack of tools/prepare_celeba.py")
    parser.add_argument("--prior", default="gaussian", metavar="NAME", help="of train: whose prior to look by")
    parser.add_argument("--steps", type=int, default=4000, metavar="N", help="of train: of 32 faces each (4000)")
    parser.add_argument("--finder", type=Path, default=FINDER, metavar="FILE", help="of measure: what ships, or this")
    parser.add_argument("--count", type=int, default=40, metavar="N", help="of measure: faces to paint (40)")
    parser.add_argument("--licence", default="", help="of train: what the weights may be used for, one line")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the file to write")
    args = parser.parse_args()

    import torch
    from benchmarks import mask_finder
    from PIL import Image
    from torch.utils.data import Subset

    from ofhkit.data.packed import PackedFaces
    from ofhkit.errors import OfhkitError
    from ofhkit.ops import device_name
    from ofhkit.registry import DATASETS
    from ofhkit.runtime.files import atomic_write
    from ofhkit.zoo import find_weights
    from ofhkit.zoo.mask_finder import build_finder, save_finder

    if args.command == "train":
        if args.out is None:
            raise OfhkitError("train writes weights: name their file with --out")
        if args.data_root is None:
            faces = DATASETS.build(dict(type="SyntheticFaces", split="train", num_faces=dict(train=RENDERED)))
            name = faces.metainfo["name"]
            held, faces = Subset(faces, range(RENDERED - HELD, RENDERED)), Subset(faces, range(RENDERED - HELD))
        else:
            faces, held = (PackedFaces(args.data_root, split) for split in ("train", "val"))
            name = faces.metainfo["name"]
        torch.manual_seed(0)
        finder = build_finder(find_weights(args.prior))
        mask_finder.train(finder, faces, args.steps)
        mask_finder.choose_threshold(finder, held)
        print(save_finder(args.out, finder, args.prior, args.licence, name))
        return
    if args.command == "picture":
        shown = Image.fromarray(mask_finder.picture())
        shown.save(args.out or "docs/pictures/found.jpg", quality=90)
        return
    if args.data_root is None:
        raise OfhkitError("measure needs a pack of tools/prepare_celeba.py: name it with --data-root")
    machine = (
        f"{device_name(torch.device('cpu'))} ({torch.backends.cpu.get_cpu_capability()}), torch {torch.__version__}"
    )
    found = mask_finder.measure(args.finder, args.data_root, args.count)
    text = (
        f"# What hides a face\n\n`tools/mask_finder.py measure --finder {args.finder.name}`\n\n{found}\n\n{machine}.\n"
    )
    print(atomic_write(args.out or Path(f"docs/results/{args.finder.stem}.md"), text))
    print(text)


if __name__ == "__main__":
    run(main)
