"""Turn CelebA as downloaded into a pack of aligned 128x128 faces.

python tools/prepare_celeba.py --root data/celeba --out data/celeba_pack
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ofhkit.datasets.celeba import prepare


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and prepare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--root", type=Path, required=True, help="folder with img_align_celeba(.zip) and CelebA's lists")
    add("--out", type=Path, required=True, help="folder of the pack; the same command goes on after an interruption")
    add("--limit", type=int, help="look at so many faces only, spread over the splits in proportion")
    add("--split", default="official", choices=("official", "paper"), help="paper: random 28,000 train, 2,000 test")
    add("--seed", type=int, default=0, help="of the paper's split")
    add("--template", type=Path, help="JSON with five points; ofhkit/assets/template_celeba_native.json is one")
    add("--name", help="of the data set; default: the name of the root folder")
    add("--workers", type=int, help="processes; default: one a core, 8 at the most; 0: none")
    args = parser.parse_args(argv)
    prepare(**vars(args))


if __name__ == "__main__":
    main()
