"""Write a new plugin: a package with one component that works, its metadata, a test and a README.

    python tools/new_plugin.py my_upsampler upsampler [--out DIR]

Then ``pip install -e DIR/my_upsampler``, or no installation and ``--plugins DIR/my_upsampler``.
"""

import importlib.util
import keyword
import re
import sys
from pathlib import Path

from ofhkit import __version__
from ofhkit.commands.cli import Parser, run
from ofhkit.errors import OfhkitError, did_you_mean
from ofhkit.registry import ROLES

NETWORK = """
    def __init__(self, channels: int = 16{extra}):
        super().__init__()
{set_extra}        self.layers = nn.Sequential(
            nn.Conv2d({inputs}, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, {outputs}, 3, padding=1)
        )

    def forward(self, {signature}) -> Tensor:
        {body}
"""


def network(signature: str, body: str, inputs: int, outputs: str, scaled: bool = False) -> str:
    extra, set_extra = (", scale: int = 8", "        self.scale = scale\n") if scaled else ("", "")
    return NETWORK.format(
        signature=signature, body=body, inputs=inputs, outputs=outputs, extra=extra, set_extra=set_extra
    )


SHRINK = "nn.functional.adaptive_avg_pool2d"
CLASSES = {  # role -> (registry, base class, further import, the promise, body)
    "inpainter": ("INPAINTERS", "nn.Module", "", "(lr, mask) -> (N, 3, 16, 16) in [0, 1]; mask 1 = occluded.",
        network("lr: Tensor, mask: Tensor", "return torch.sigmoid(self.layers(torch.cat((lr, mask), 1)))", 4, "3")),
    "upsampler": ("UPSAMPLERS", "nn.Module", "", "(completed[, mask]) -> (N, 3, scale*H, scale*W) in [0, 1].",
        network("completed: Tensor", "return nn.functional.pixel_shuffle(self.layers(completed), self.scale)", 3,
                "3 * scale * scale", scaled=True)),
    "discriminator": ("DISCRIMINATORS", "nn.Module", "", "(hr) -> logits (N, 1).",
        network("hr: Tensor", "return self.layers(hr).mean((2, 3))", 3, "1")),
    "landmark_prior": ("LANDMARK_PRIORS", "nn.Module", "", "(hr) -> (N, 68, 2) pixels (x, y) of the face.",
        network("hr: Tensor", f"return 63.5 + 64 * {SHRINK}(self.layers(hr), 1).view(-1, 68, 2)", 3, "136")),
    "parser": ("PARSERS", "nn.Module", "", "(hr) -> logits (N, classes, 128, 128).",
        network("hr: Tensor", "return self.layers(hr)", 3, "11")),
    "loss": ("LOSSES", "LossTerm", "from ofhkit.models.losses import LossTerm\n",
        "Names of the arguments are batch keys; returns the unweighted scalar.", '''
    def __init__(self, weight: float = 1.0):
        super().__init__(weight)

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        return (sr - hr).abs().mean()
'''),
    "occluder": ("OCCLUDERS", "", "", "(keys, seed, size) -> masks (N, 1, size, size), a function of key and seed.", '''
    def __init__(self, side: int = 6):
        self.side = side

    def __call__(self, keys: Tensor, seed: int, size: int) -> Tensor:
        masks = torch.zeros(len(keys), 1, size, size, device=keys.device)
        left = (keys + seed) % (size - self.side + 1)
        columns = torch.arange(size, device=keys.device)
        inside = (columns >= left[:, None]) & (columns < left[:, None] + self.side)
        masks[:, 0, : self.side] = inside[:, None].float()
        return masks
'''),
    "dataset": ("DATASETS", "torch.utils.data.Dataset", "", "Items with `hr` (3, 128, 128) uint8 RGB and `index`.", '''
    def __init__(self, split: str = "train", limit: int | None = None):
        self.length = min(limit or 8, 8)
        self.metainfo = {"name": "noise", "data_hash": f"noise-1-{split}"}

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        random = torch.Generator().manual_seed(index)
        return {"hr": torch.randint(0, 256, (3, 128, 128), generator=random, dtype=torch.uint8), "index": index}
'''),
    "metric": ("METRICS", "PerImageMetric", "from ofhkit.metrics import PerImageMetric\n",
        "Names of the arguments are batch keys; name -> values (N,).", '''
    name, decimals, higher_is_better = "NAME", 4, False

    def measure(self, sr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        return {"NAME": (sr - hr).abs().mean((1, 2, 3))}
'''),
    "hook": ("HOOKS", "Hook", "from mmengine.hooks import Hook\n", "Called by the runner around every iteration.", '''
    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self.last = outputs
'''),
    "hallucinator": ("HALLUCINATORS", "FaceHallucinator",
        "from ofhkit.models.pipeline import FaceHallucinator\n",
        "Complete, paste, upsample: change what differs. How its networks learn is said by stages.", '''
    def predict(self, lr: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return super().predict(lr, mask)
'''),
    "stage": ("STAGES", "UpsamplerStage", "from ofhkit.training.stages import UpsamplerStage\n",
        "Which network learns from which batch by which loss.", '''
    def step(self, batch: dict[str, Tensor], optim) -> dict[str, Tensor]:
        with optim["upsampler"].optim_context(self.network):
            completed = self.pipeline.complete(batch["lr"], batch["mask"])
            total = (self.pipeline.upsample(completed, batch["mask"]) - batch["hr"]).abs().mean()
        optim["upsampler"].update_params(total)
        return {"total": total.detach()}
'''),
    "report": ("REPORTS", "", "", "Parameters among rows, per_image, faces, protocol; HTML, or a picture.", '''
    def __call__(self, rows: list, per_image: dict) -> str:
        items = (f"<li>{row['method']}: {len(per_image[row['method']])} faces</li>" for row in rows)
        return f"<ul>{''.join(items)}</ul>"
'''),
}  # fmt: skip

PYPROJECT = """[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"

[project]
name = "ofhkit-{dashed}"
version = "0.1.0"
requires-python = ">=3.10"
dependencies = ["ofhkit{versions}"]

[project.entry-points."ofhkit.plugins"]
{name} = "{name}"

[tool.setuptools.packages.find]
where = ["src"]
"""
MODULE = '''"""What it is.

Reference: authors, "title", venue, year, section.

Differs from the paper: what, and why.
"""

from __future__ import annotations

import torch
{imported}from ofhkit.registry import {registry}
from torch import Tensor, nn


@{registry}.register_module()
class {title}{base}:
    """{promise}"""
{body}'''
TEST = '''"""It keeps its role's promises and is found by its name."""

from {name} import {title}
from ofhkit.registry import {registry}
from ofhkit.testing import check


def test_promises():
    check("{role}", {title}({arguments}))


def test_name():
    assert {registry}.get("{title}") is {title}
'''
ARGUMENTS = {"hallucinator": 'dict(type="EncoderDecoder"), dict(type="FSRCNN")', "stage": "iterations=1"}
README = """# ofhkit-{dashed}

    pip install -e .
    python -m pytest
    python tools/list_components.py {role}    # in ofhkit's folder
"""


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def files(name: str, role: str) -> dict[str, str]:
    """Path -> text of a new plugin."""
    registry, base, imported, promise, body = CLASSES[role]
    major, minor = __version__.split(".")[:2]
    title = _title(name)
    words = {
        "name": name, "role": role, "title": title, "registry": registry, "base": f"({base})" if base else "",
        "imported": imported, "promise": promise, "body": body.replace("NAME", title), "dashed": name.replace("_", "-"),
        "arguments": ARGUMENTS.get(role, ""),
        "versions": f">={major}.{minor},<{major}.{int(minor) + 1}",
    }  # fmt: skip
    init = f'"""Importing the package registers {title}."""\n\nfrom {name}.component import {title}\n\n'
    module = MODULE.format(**words)
    head, _, code = module.partition("import Tensor, nn")
    head = head if "torch." in code else head.replace("import torch\n", "")
    used = [word for word, sign in (("Tensor", "Tensor"), ("nn", "nn.")) if sign in code]
    module = (
        head + "import " + ", ".join(used) + code if used else head.rpartition("from torch ")[0] + code.lstrip("\n")
    )
    return {
        "pyproject.toml": PYPROJECT.format(**words),
        "README.md": README.format(**words),
        f"src/{name}/__init__.py": init + f'__all__ = ["{title}"]\n',
        f"src/{name}/component.py": module,
        f"tests/test_{name}.py": TEST.format(**words),
    }


def check_name(name: str, role: str) -> None:
    """Refuse a name that no package can have, or that something else has already.

    Raises:
        OfhkitError: it is no lower-case identifier, can be imported already, or names a class that is taken.
    """
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise OfhkitError(f"{name!r:.80} cannot be a package's name; take lower case and underscores: my_upsampler")
    if name == "tests" or name in sys.builtin_module_names or importlib.util.find_spec(name) is not None:
        raise OfhkitError(f"a package {name!r:.80} is there already and would be shadowed; take a name of its own")
    title = _title(name)
    if title in ("Tensor", *(base for _, base, *_ in CLASSES.values())) or title in ROLES[role]:
        raise OfhkitError(f"the class of {name!r} would be called {title}, as another is; take a name of its own")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("name", help="of the package, as in my_upsampler")
    parser.add_argument("role", help=", ".join(CLASSES))
    parser.add_argument("--out", type=Path, default=Path("plugins"), metavar="DIR", help="where (default: plugins)")
    args = parser.parse_args()
    if args.role not in CLASSES:
        raise OfhkitError(f"there is no template for the role {args.role!r}; {did_you_mean(args.role, CLASSES)}")
    check_name(args.name, args.role)
    folder = args.out / args.name
    if folder.exists():
        raise OfhkitError(f"{folder} exists; choose another name or remove it")
    for path, text in files(args.name, args.role).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    print(f"{folder} written; try: python tools/list_components.py {args.role} --plugins {folder}")


if __name__ == "__main__":
    run(main)
