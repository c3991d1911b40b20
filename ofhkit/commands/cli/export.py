"""Write a pipeline as one file for another runtime, and check that it is the model.

    ofhkit export MODEL --format onnx --out ofhnet.onnx
    ofhkit export work_dirs/ofhnet_celeba/model.safetensors --format torch --out ofhnet.pt2
    ofhkit export MODEL --format onnx --precision int8 --out ofhnet_int8.onnx
    ofhkit export ofhnet-plus --web site        # a page that needs no server; first: npm install onnxruntime-web

lr is (N, 3, 16, 16) in [0, 1], mask (N, 1, 16, 16) with 1 = occluded, sr (N, 3, 128, 128), for any N. The file is read
back and compared with eager on rendered faces; one that differs is not kept. ONNX needs: pip install 'ofhkit[export]'.
"""

from pathlib import Path

from ofhkit.commands.options import Parser, whole


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("model", help="name of a model that ships, or a model.safetensors")
    parser.add_argument("--format", choices=("onnx", "torch", "aot"), help="aot needs a C++ compiler")
    parser.add_argument("--out", type=Path, metavar="FILE", help="ends in .onnx, else in .pt2")
    parser.add_argument("--web", type=Path, metavar="DIR", help="write a page that runs in the browser into a folder")
    parser.add_argument(
        "--ort", type=Path, default=Path("node_modules/onnxruntime-web/dist"), metavar="DIR",
        help="of --web: dist of an installed onnxruntime-web (default: node_modules/onnxruntime-web/dist)",
    )  # fmt: skip
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16", "int8"))
    parser.add_argument("--faces", type=whole(1), default=64, metavar="N", help="to compare on (default: 64)")
    parser.add_argument("--batch", type=whole(1), nargs="+", default=[1, 64], metavar="N", help="to time (1 64)")
    parser.add_argument("--rounds", type=whole(0), default=5, metavar="N", help="timed calls of each; 0: no timing")
    parser.add_argument("--threads", type=whole(1, 1024), metavar="N", help="of torch and ONNX Runtime")
    args = parser.parse_args()
    if args.web is None and not (args.format and args.out):
        parser.error("say --format and --out, or --web")

    import torch

    from ofhkit.export import export, export_web, sample, throughput
    from ofhkit.zoo import load_model

    if args.threads:
        torch.set_num_threads(args.threads)
    if args.web is not None:
        differs = export_web(load_model(args.model, "cpu"), args.web, args.ort, args.precision)
        size = sum(path.stat().st_size for path in args.web.iterdir())
        print(f"{args.web}: {size / 1e6:.1f} MB, {args.precision}, largest difference from the model {differs:.1e}")
        print(f"any file server shows it: python -m http.server -d {args.web}")
        return
    model, faces = load_model(args.model, "cpu"), sample(max(args.faces, 1))
    call, found = export(model, args.out, args.format, args.precision, faces)
    print(f"{args.out}: {args.format}, {args.precision}, {args.out.stat().st_size / 1e6:.1f} MB")
    print(
        f"against eager on {len(faces.lr)} rendered faces: largest difference {found.largest:.1e}, "
        f"PSNR {found.against_eager:.1f} dB; against the truth {found.exported:.3f} dB, eager {found.eager:.3f} dB, "
        f"loss {found.eager - found.exported:.3f} dB"
    )
    for row in throughput(model, call, faces, args.batch, args.rounds) if args.rounds > 0 else ():
        speeds = ", ".join(f"{name} {value:.1f}" for name, value in row.items() if name != "batch")
        print(f"batch {row['batch']}, images/s with {torch.get_num_threads()} threads: {speeds}")
