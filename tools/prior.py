"""Measure the face prior on real faces (docs/prior.md): tables in OUT/prior_COMMAND.md.

    python tools/prior.py lambda --data-root DIR        the regularisation, chosen on validation faces
    python tools/prior.py size --data-root DIR          the linear map's size against what it scores, validation faces
    python tools/prior.py faces --data-root DIR         how many training faces the completion needs
    python tools/prior.py holes --data-root DIR --model ofhnet gaussian
    python tools/prior.py occluders --data-root DIR --model ofhnet-plus gaussian inpainter
    python tools/prior.py consistent --data-root DIR --model ofhnet gaussian
    python tools/prior.py privacy --data-root DIR       whether a training face can be told from an unseen one
    python tools/prior.py calibrate --data-root DIR --model FILE    how sure it is: fitted to validation faces
    python tools/prior.py coverage --data-root DIR --model ofhnet-plus    what the deviations hold on test faces
    python tools/prior.py ranks --data-root DIR         how often the truth has each rank among 20 samples
    python tools/prior.py pictures --model gaussian-synthetic ofhnet-synthetic --out docs/pictures   (rendered faces)

The moments of the training faces are collected once and kept in MOMENTS (minutes).
"""

import sys
from pathlib import Path

from ofhkit.commands.options import Parser, run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # of a checkout

COMMANDS = (
    "lambda", "size", "faces", "holes", "occluders", "consistent", "privacy", "calibrate", "coverage", "ranks",
    "pictures",
)  # fmt: skip
ON_RENDERED = ("calibrate", "coverage", "ranks")  # without --data-root on rendered faces


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--data-root", metavar="DIR", help="a pack of tools/prepare_celeba.py")
    parser.add_argument("--moments", type=Path, default=Path("work_dirs/moments.safetensors"), metavar="FILE")
    parser.add_argument("--model", nargs="+", default=["gaussian"], help="names or files of pipelines")
    parser.add_argument("--count", type=int, default=200, metavar="N", help="faces to score (default: 200)")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), metavar="DIR")
    args = parser.parse_args()

    import torch
    from benchmarks import prior, uncertainty
    from safetensors.torch import load_file, save_file

    from ofhkit.errors import OfhkitError
    from ofhkit.export import sample
    from ofhkit.functional.images import write_png
    from ofhkit.functional.resample import downsample_cubic
    from ofhkit.ops.jit_c import device_name
    from ofhkit.runtime.files import atomic_write
    from ofhkit.zoo import find_weights, load_model
    from ofhkit.zoo.release import add_calibration

    if args.command == "pictures":
        models = prior.numbered(args.model)
        lr = downsample_cubic(sample(5).hr).clamp(0, 1)
        print(write_png(args.out / "prior_components.png", prior.components(models[0].inpainter)))
        print(write_png(args.out / "prior_completions.png", prior.completions(models, lr)))
        faces_drawn = prior.Faces(None, "test", args.count)
        print(write_png(args.out / "prior_answers.png", uncertainty.sheet(models[0], faces_drawn)))
        return
    if args.data_root is None and args.command not in ON_RENDERED:
        raise OfhkitError(f"{args.command} is measured on a pack of tools/prepare_celeba.py: name it with --data-root")

    def faces(split: str, count: int | None = args.count, large: bool = False) -> prior.Faces:
        return prior.Faces(args.data_root, split, count, large)

    def moments() -> prior.Moments:
        if not args.moments.is_file():
            args.moments.parent.mkdir(parents=True, exist_ok=True)
            save_file(dict(prior.Moments.collect(args.data_root)), args.moments)
        return prior.Moments(load_file(args.moments))

    if args.command == "calibrate":
        large = faces("val", large=True)
        for name in args.model:
            print(add_calibration(find_weights(name), uncertainty.calibrate(load_model(name, "cpu"), large)))
        return

    def ranks() -> str:
        counts = uncertainty.ranks(load_model(args.model[0], "cpu"), faces("test", large=True))
        atomic_write(args.out.parent / "pictures/prior_ranks.svg", uncertainty.draw_ranks(counts))
        shares = [[f"{100 * n / count.sum():.2f}" for n in count] for count in counts.values()]
        return prior.table(("rank", *(f"{name} (%)" for name in counts)), list(zip(range(len(shares[0])), *shares)))

    def size() -> str:
        text, chart = prior.sizes(moments(), faces("val", large=True))
        atomic_write(args.out.parent / "pictures/prior_size.svg", chart)
        return text

    text = {
        "lambda": lambda: prior.regularisations(moments(), faces("val")),
        "size": size,
        "faces": lambda: prior.faces_needed(faces("train", None), faces("test")),
        "holes": lambda: prior.holes(faces("test"), prior.numbered(args.model)),
        "occluders": lambda: prior.occluders(faces("test", large=True), prior.numbered(args.model)),
        "consistent": lambda: prior.consistency(faces("test", large=True), prior.numbered(args.model)),
        "coverage": lambda: uncertainty.coverage(prior.numbered(args.model), faces("test", large=True)),
        "ranks": ranks,
        "privacy": lambda: prior.privacy(moments(), faces("train"), faces("test")),
    }[args.command]()
    name = prior.Faces(args.data_root, "test", 1).name
    machine = (
        f"{device_name(torch.device('cpu'))} ({torch.backends.cpu.get_cpu_capability()}), torch {torch.__version__}"
    )
    which = "training and as many test faces" if args.command == "privacy" else "faces"
    where = f"{args.count} {which} of {name}; {machine}"
    text = f"# The face prior: {args.command}\n\n`tools/prior.py {args.command}`\n\n{text}\n\n{where}.\n"
    atomic_write(args.out / f"prior_{args.command}.md", text)
    print(text)


if __name__ == "__main__":
    run(main)
