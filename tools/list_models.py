"""List the weights that ship with ofhkit: what they are, their scores, and the command that scores them again.

    python tools/list_models.py

Any of the names works in tools/infer.py --model, tools/export.py and ofhkit.load_model.
"""

from pathlib import Path

from ofhkit.commands.cli import Parser, run

CONFIGS = Path(__file__).parents[1] / "configs"


def main() -> None:
    Parser(__doc__).parse_args()

    from ofhkit.metrics import LPIPS, NRMSE, PSNR, SSIM, ParsingIoU
    from ofhkit.zoo import DEFAULT_MODEL, zoo
    from ofhkit.zoo.weights import load_weights

    shown = (PSNR, SSIM, LPIPS, NRMSE, ParsingIoU)
    shipped = zoo()
    if not shipped:
        print("no weights ship with this copy of ofhkit: name a model.safetensors that tools/train.py wrote")
    for name, path in shipped.items():
        info = load_weights(path)[1]
        scores = info.get("metrics", {})
        default = " (default)" if name == DEFAULT_MODEL else ""
        print(f"{name}{default}: {info['method']}, {path.stat().st_size / 1e6:.1f} MB")
        print(f"  trained on {info['data'].get('num_train', '?')} faces of {info['data'].get('name', '?')}")
        numbers = (f"{m.name} {scores[m.name]:.{m.decimals}f}" for m in shown if m.name in scores)
        print("  " + ", ".join(numbers), end="")
        print(f" on {scores['num_images']} test faces" if scores else "not scored")
        print(f"  {info['licence']}")
        found = next(CONFIGS.rglob(f"{info.get('config')}.py"), None)
        config = found.relative_to(CONFIGS.parent) if found else "CONFIG"
        print(f"  python tools/test.py {config} --checkpoint {path} --data-root DIR")


if __name__ == "__main__":
    run(main)
