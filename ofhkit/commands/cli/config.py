"""Look at a configuration before it costs anything: every value with its origin, differences, mistakes.

ofhkit config show configs/ofhnet_celeba.py [--only model.upsampler]
ofhkit config diff configs/ofhnet_celeba.py configs/ofhnet_synthetic.py
ofhkit config lint configs/*.py
"""

from pathlib import Path

from ofhkit.commands.options import Parser

ARGUMENTS = {"show": 1, "diff": 2, "lint": None}


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument("action", choices=ARGUMENTS, help="what to do")
    parser.add_argument("configs", nargs="+", type=Path, metavar="CONFIG", help="one; two to compare; any to lint")
    parser.add_argument("--only", default="", metavar="KEY", help="show only what is under this key")
    parser.add_argument("--cfg-options", nargs="+", action="extend", metavar="KEY=VALUE", help="override values")
    args = parser.parse_args()
    if len(args.configs) != (ARGUMENTS[args.action] or len(args.configs)):
        parser.error(f"{args.action} takes {ARGUMENTS[args.action]} CONFIG, got {len(args.configs)}")

    from ofhkit.config import inspection, parse_options

    options = parse_options(args.cfg_options)
    if args.action == "show":
        print(inspection.show(args.configs[0], options, args.only))
    elif args.action == "diff":
        print(inspection.diff(*args.configs, options))
    else:
        lines = inspection.lint(args.configs, options)
        print("\n".join(f"{path}: {error or 'ok'}" for path, error in lines.items()))
        return any(lines.values())
    return 0
