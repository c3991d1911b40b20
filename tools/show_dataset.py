"""Show faces of a data set as one picture, with landmarks and parsing labels if wanted.

    python tools/show_dataset.py synthetic --landmarks --parsing --out faces.png
    python tools/show_dataset.py data/celeba_pack --split test --count 64 --out faces.png
    python tools/show_dataset.py configs/ofhnet_synthetic.py --out faces.png

The source is the word ``synthetic``, the folder of a prepared pack, or a configuration file.
"""

from pathlib import Path

from ofhkit.commands.options import Parser, run, whole


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("source", help="'synthetic', a pack's folder or a configuration file")
    parser.add_argument("--split", default="train", choices=("train", "val", "test"))
    parser.add_argument("--start", type=whole(0), default=0, help="the first face shown (default: 0)")
    parser.add_argument("--count", type=whole(1), default=32, help="how many (default: 32)")
    parser.add_argument("--seed", type=whole(0, 2**32 - 1), default=0, help="of synthetic faces (default: 0)")
    parser.add_argument("--columns", type=whole(1), default=8)
    parser.add_argument("--scale", type=whole(1, 64), default=1, help="enlargement (default: 1)")
    parser.add_argument("--landmarks", action="store_true", help="draw the 68 points")
    parser.add_argument("--parsing", action="store_true", help="draw the labels")
    parser.add_argument("--out", type=Path, default=Path("faces.png"), metavar="FILE.png")
    args = parser.parse_args()

    import torch
    from matplotlib import colormaps
    from torchvision.utils import draw_keypoints, draw_segmentation_masks, make_grid

    from ofhkit.data.packed import PackedFaces
    from ofhkit.errors import OfhkitError
    from ofhkit.functional.face_labels import PARSING_LABELS
    from ofhkit.functional.images import write_png
    from ofhkit.rendering import SyntheticFaces

    if args.source == "synthetic":
        data = SyntheticFaces(args.start + args.count, args.seed, args.split, cache=False)
    elif args.source.endswith(".py"):
        from ofhkit.config import load_config
        from ofhkit.registry import DATASETS

        data = DATASETS.build(load_config(args.source).data.dataset, split=args.split)
    else:
        data = PackedFaces(args.source, args.split)
    rows = range(args.start, min(args.start + args.count, len(data)))
    if not rows:
        raise OfhkitError(f"{args.source} has {len(data)} {args.split} faces, none from --start {args.start} on")
    items = [data[i] for i in rows]
    if args.parsing and "parsing" not in items[0]:
        raise OfhkitError(f"{args.source} has no parsing labels; leave --parsing out")
    colors = [tuple(round(255 * band) for band in color) for color in colormaps["tab20"].colors[: len(PARSING_LABELS)]]
    cells = []
    for item in items:
        face = torch.as_tensor(item["hr"])
        drawn = [face, face] if args.landmarks or args.parsing else [face]
        if args.parsing:
            masks = torch.as_tensor(item["parsing"]) == torch.arange(len(PARSING_LABELS))[:, None, None]
            drawn[1] = draw_segmentation_masks(face, masks, alpha=0.55, colors=colors)
        drawn = [image.repeat_interleave(args.scale, 1).repeat_interleave(args.scale, 2) for image in drawn]
        if args.landmarks:
            points = (torch.as_tensor(item["landmarks"]) + 0.5) * args.scale - 0.5
            drawn[1] = draw_keypoints(drawn[1], points[None], colors="white", radius=max(1, args.scale // 2))
        cells += drawn
    sheet = make_grid(torch.stack(cells), args.columns, padding=0, pad_value=255)
    print(write_png(args.out, sheet.permute(1, 2, 0).numpy()))


if __name__ == "__main__":
    run(main)
