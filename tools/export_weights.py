"""Turn a finished run into a release file: small, with all that using it needs in its header.

    python tools/test.py configs/ofhnet_celeba.py --out outputs
    python tools/export_weights.py work_dirs/ofhnet_celeba --out ofhnet.safetensors --results outputs/results.json \\
        --licence "for non-commercial research only (WEIGHTS_LICENSE)" --data "which faces, in words"

    python tools/test.py configs/ofhnet_celeba.py --checkpoint ofhnet.safetensors --out outputs
    python tools/export_weights.py ofhnet.safetensors --out ofhnet.safetensors --results outputs/results.json

    python tools/export_weights.py ofhkit/assets/zoo/ofhnet.safetensors --inpainter work_dirs/gaussian_celeba \\
        --out ofhnet-gaussian.safetensors

The second pair gives a release file new scores; its tensors and its licence stay as they are. The last command puts
another run's inpainter under a pipeline, with nothing trained again.
A file under ofhkit/assets/zoo is found by its name: load_model("ofhnet"), tools/infer.py --model ofhnet.
"""

from pathlib import Path

from ofhkit.commands.options import Parser, run


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run, or its model.safetensors, or a release file")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="NAME.safetensors to write")
    parser.add_argument("--licence", default="", metavar="LINE", help="one line, printed at every load")
    parser.add_argument("--data", metavar="TEXT", help="what the weights were trained on, in words")
    parser.add_argument("--results", type=Path, metavar="FILE", help="results.json of tools/test.py for these weights")
    parser.add_argument("--inpainter", type=Path, metavar="RUN", help="whose inpainter takes the place of this one's")
    parser.add_argument("--float32", action="store_true", help="keep kernels in 32 bits (twice as large)")
    args = parser.parse_args()

    from ofhkit.zoo.release import export_weights

    half = not args.float32
    out = export_weights(args.run, args.out, args.licence, args.data, args.results, half, args.inpainter)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    run(main)
