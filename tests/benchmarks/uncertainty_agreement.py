"""How well the uncertainty of several readings tells the true error.

    python tests/benchmarks/uncertainty_agreement.py MODEL PACK [FACES]

Prints Spearman's rank correlation between uncertainty and absolute error: over all pixels of a face (mean of the
faces), over those inside the hole, and over faces (mean uncertainty against mean error in the hole).
"""

import sys

import numpy as np
import torch

import ofhkit
from ofhkit.models.inference import run_batches
from ofhkit.registry import DATASETS, DEGRADATIONS


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    ranks = (np.argsort(np.argsort(x)) for x in (a, b))
    return float(np.corrcoef(*ranks)[0, 1])


def main(model: str, pack: str, faces: str = "100") -> None:
    dataset = DATASETS.build(dict(type="PackedFaces", root=pack, split="test", limit=int(faces)))
    degradation = DEGRADATIONS.build(dict(type="Degradation"))
    hr = torch.stack([torch.as_tensor(dataset[i]["hr"]) for i in range(len(dataset))])
    batch = degradation({"hr": hr, "index": torch.arange(len(hr))})
    out = run_batches(ofhkit.load_model(model, "cpu"), batch["lr"], batch["mask"], uncertainty=True)
    error = (out.sr - batch["hr"]).abs().mean(1).numpy()
    uncertainty, hole = (
        out.uncertainty.numpy(),
        batch["mask"][:, 0].repeat_interleave(8, 1).repeat_interleave(8, 2).numpy() > 0.5,
    )
    pixels = [spearman(s.ravel(), e.ravel()) for s, e in zip(uncertainty, error)]
    inside = [spearman(s[h], e[h]) for s, e, h in zip(uncertainty, error, hole)]
    each = spearman(*(np.array([x[h].mean() for x, h in zip(y, hole)]) for y in (uncertainty, error)))
    print(f"{len(hr)} faces: pixels {np.mean(pixels):.2f}, pixels of the hole {np.mean(inside):.2f}, faces {each:.2f}")
    wide = uncertainty > np.quantile(uncertainty, 0.9)
    print(f"mean absolute error: {error.mean():.4f}; in the most uncertain tenth: {error[wide].mean():.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
