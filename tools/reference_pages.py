"""Write the pages of the documentation that are made from the code: every option, every component.

    python tools/reference_pages.py --out DIR
    python tools/reference_pages.py --readme README.md      # its table of models

The documentation's own build (mkdocs build --strict) calls the same functions, so its pages are never out of date.
"""

import sys
from pathlib import Path

from ofhkit.commands.options import Parser, run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))  # of a checkout


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--out", type=Path, metavar="DIR", help="for configuration.md, components.md, models.md …")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="write the table of models between its marks")
    args = parser.parse_args()

    from reference import PAGES, models_table

    from ofhkit.runtime.files import atomic_write

    for name, page in PAGES.items() if args.out else ():
        print(atomic_write(args.out / name, page()))
    if args.readme:
        before, mark, rest = args.readme.read_text(encoding="utf-8").partition("<!-- models -->\n")
        after = rest[rest.index("<!-- /models -->") :]
        print(atomic_write(args.readme, f"{before}{mark}{models_table()}{after}"))


if __name__ == "__main__":
    run(main)
