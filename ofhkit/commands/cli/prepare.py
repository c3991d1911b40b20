"""Turn CelebA as downloaded into a pack of aligned 128x128 faces.

    ofhkit prepare --root data/celeba --out data/celeba_pack

DIR of --root holds img_align_celeba.zip (or the unpacked folder), list_landmarks_align_celeba.txt and
list_eval_partition.txt; CelebA's own Img/ Anno/ Eval/ folders and Kaggle's .csv lists serve too. The same command
goes on after an interruption. Pictures that cannot be used are listed in OUT/refused.txt.
"""

from pathlib import Path

from ofhkit.commands.options import Parser, whole


def main() -> None:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--root", type=Path, required=True, metavar="DIR", help="folder with CelebA's pictures and lists")
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the pack")
    add("--limit", type=whole(1), metavar="N", help="look at N faces only, spread over the splits in proportion")
    add("--split", default="official", metavar="official|paper", help="paper: random 28,000 train and 2,000 test")
    add("--seed", type=whole(0, 2**32 - 1), default=0, help="of the paper's split")
    add("--template", type=Path, metavar="FILE", help="JSON with five points, or 'celeba_native': CelebA's own scale")
    add("--name", help="of the data set (default: the name of the root folder)")
    add("--workers", type=whole(0, 1024), metavar="N", help="processes (default: one a core, 8 at the most; 0: none)")
    args = parser.parse_args()

    from ofhkit.data.celeba.prepare import prepare

    prepare(**vars(args))
