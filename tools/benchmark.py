"""Measure inference, a training step, the operators, data or scores beside what else one would use, in one process.

    python tools/benchmark.py inference
    python tools/benchmark.py train --batch 16 --threads 2 --compile
    python tools/benchmark.py ops --device cuda --precision bfloat16
    python tools/benchmark.py inference train ops data metrics table --rounds 3    # the last: README's, from the others

Every variant is called once untimed and once timed a turn, in turns; medians. The matrix product, the convolution and
the copy that bound them are measured in the same loop. Markdown and JSON go to --out.
"""

import argparse
import sys
from pathlib import Path

from ofhkit.commands.options import Parser, run, whole

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # of a checkout
BATCHES = {"inference": (1, 16, 64), "train": (16,), "ops": (16,), "data": (32, 128), "metrics": (64,)}
TABLE = "table"


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("what", nargs="+", choices=[*BATCHES, TABLE])
    parser.add_argument("--batch", type=whole(1), nargs="+", metavar="N", help="batch sizes")
    parser.add_argument("--rounds", type=whole(1), default=5, help="timed calls of each variant (default: 5)")
    parser.add_argument("--threads", type=whole(1, 1024), metavar="N", help="of torch, ONNX Runtime and OpenVINO")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--tf32", action=argparse.BooleanOptionalAction, help="products of float32 on CUDA")
    parser.add_argument("--compile", action="store_true", help="torch.compile too (slow to start)")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), metavar="DIR")
    args = parser.parse_args()

    import torch
    from benchmarks import data, inference, metrics, operators, summary, timing, training

    if args.threads:
        torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = bool(args.tf32)
    modules = {"inference": inference, "ops": operators, "data": data, "metrics": metrics, "train": training}
    suffix = "" if args.device == "cpu" and args.precision == "float32" else f"_{args.device}_{args.precision}"
    for what in (name for name in modules if name in args.what):  # training last: it changes how memory is kept
        batches = tuple(args.batch or BATCHES[what])
        tables = modules[what].run(torch.device(args.device), batches, args.rounds, args.compile, args.precision)
        timing.write(f"benchmark_{what}{suffix}{'_tf32' if args.tf32 else ''}", tables, args.out)
    if TABLE in args.what:
        print(summary.speed_table(args.out))


if __name__ == "__main__":
    run(main)
