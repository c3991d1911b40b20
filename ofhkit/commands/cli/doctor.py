"""Look for what commonly goes wrong in an installation, and print the command that fixes it.

    ofhkit doctor [--work-dir DIR]

Exits with 1 if something needs fixing. Changes nothing.
"""

from pathlib import Path

from ofhkit.commands.options import Parser


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs"), metavar="DIR", help="root of all runs")
    args = parser.parse_args()

    from ofhkit.commands.doctor import diagnose

    bad = 0
    for finding in diagnose(args.work_dir):
        print(f"{'BAD ' if finding.remedy else 'ok  '} {finding.text}")
        if finding.remedy:
            bad += 1
            print(f"       fix: {finding.remedy}")
    return int(bad > 0)
