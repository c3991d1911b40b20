"""List what there is: components, weights that ship, configurations.

    ofhkit list                 what a configuration may name: origin, parameters, work for one face, paper
    ofhkit list upsampler       the same of one role
    ofhkit list models          the weights that ship: scores, licence, the command that scores them again
    ofhkit list configs         the configurations that ship

A model's name works in ofhkit infer --model, ofhkit export and ofhkit.load_model; a configuration's in ofhkit train.
"""

from ofhkit.commands.options import Parser


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("what", nargs="?", help="models, configs, or a role, as in upsampler")
    what = parser.parse_args().what
    if what == "models":
        _models()
    elif what == "configs":
        _configs()
    else:
        _components(what)


def _components(role: str | None) -> None:
    from ofhkit.commands.components import list_components

    last = None
    for entry in list_components(role):
        if entry.role != last:
            last = entry.role
            print(f"\n{last}")
        print(entry.lines())


def _models() -> None:
    from ofhkit.config.find import shipped_configs
    from ofhkit.metrics import LPIPS, NRMSE, PSNR, SSIM, ParsingIoU
    from ofhkit.zoo import DEFAULT_MODEL, zoo
    from ofhkit.zoo.weights import load_weights

    shown = (PSNR, SSIM, LPIPS, NRMSE, ParsingIoU)
    shipped = zoo()
    if not shipped:
        print("no weights ship with this copy of ofhkit: name a model.safetensors that ofhkit train wrote")
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
        config = info["config"] if info.get("config") in shipped_configs() else "CONFIG"
        print(f"  ofhkit test {config} --checkpoint {path} --data-root DIR")


def _configs() -> None:
    import ast

    from ofhkit.config.find import shipped_configs

    for name, path in shipped_configs().items():
        first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        print(f"{name}\n    {first}")
