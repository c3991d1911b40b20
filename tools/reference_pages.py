"""Write the pages of the documentation that are made from the code: every option, every component.

    python tools/reference_pages.py --out DIR

The documentation's own build (mkdocs build --strict) calls the same functions, so its pages are never out of date.
"""

from pathlib import Path

from ofhkit.commands.cli import Parser, run


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for configuration.md, components.md")
    args = parser.parse_args()

    from ofhkit.commands.reference import PAGES
    from ofhkit.files import atomic_write

    for name, page in PAGES.items():
        print(atomic_write(args.out / name, page()))


if __name__ == "__main__":
    run(main)
