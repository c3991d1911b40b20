"""List what a configuration may name: origin, parameters, work for one face (16x16), and paper.

python tools/list_components.py [ROLE]
"""

from ofhkit.commands.cli import Parser, run


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("role", nargs="?", help="only this role, as in upsampler")
    args = parser.parse_args()

    from ofhkit.commands.components import list_components

    role = None
    for entry in list_components(args.role):
        if entry.role != role:
            role = entry.role
            print(f"\n{role}")
        print(entry.lines())


if __name__ == "__main__":
    run(main)
