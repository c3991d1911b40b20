"""Serve a page to try the methods on: open a face, paint a hole, compare.

    ofhkit demo
    ofhkit demo --model work_dirs/ofhnet_celeba/model.safetensors --port 8000

Every model that ships is there, and every --model. Nothing leaves the machine and nothing is fetched. Only this machine
can open the page unless --host says otherwise. Needs: pip install 'ofhkit[demo]'.
"""

from pathlib import Path

from ofhkit.commands.options import Parser, whole


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", type=Path, action="append", default=[], metavar="FILE", help="add one (repeatable)")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 opens it to the network (default: 127.0.0.1)")
    parser.add_argument("--port", type=whole(0, 65535), default=7860)
    parser.add_argument(
        "--concurrency", type=whole(1, 1024), default=2, metavar="N", help="users at a time (default: 2)"
    )
    args = parser.parse_args()

    from ofhkit.restoration.page.methods import installed_methods
    from ofhkit.restoration.page.server import serve

    methods = installed_methods(args.model)
    print(f"{len(methods)} methods are being made ready", flush=True)
    serve(methods, args.host, args.port, args.concurrency)
