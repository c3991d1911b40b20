"""Print how far FaceAPI68 agrees with the landmarks of a pack, for its own box and for others.

    python tests/benchmarks/landmark_agreement.py --pack DIR [--boxes]

The numbers in the docstrings of ``FaceAPI68`` (its box) and ``MAX_DISAGREEMENT`` come from here, on a pack whose
landmarks are MediaPipe's.
"""

import argparse

import numpy as np
import torch

from ofhkit.data.celeba.prepare import disagreement
from ofhkit.data.packed import PackedFaces
from ofhkit.models.landmark_priors import FaceAPI68


@torch.inference_mode()
def locate(prior: FaceAPI68, faces: torch.Tensor) -> torch.Tensor:
    return torch.cat([prior(part.float() / 255) for part in faces.split(64)])


def errors(points: torch.Tensor, landmarks: torch.Tensor) -> str:
    """Mean over all 68 points and without the jaw, in per cent of the distance of the eye centres."""
    eyes = (landmarks[:, 36:42].mean(1) - landmarks[:, 42:48].mean(1)).norm(dim=-1)
    gap = 100 * (points - landmarks).norm(dim=-1) / eyes[:, None]
    return f"{gap.mean():5.2f} % of 68 points, {gap[:, 17:].mean():5.2f} % without jaw"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--boxes", action="store_true", help="try other boxes on 256 training faces")
    args = parser.parse_args()
    prior = FaceAPI68()
    for split, limit in (("test", 1000), ("train", 2000)):
        data = PackedFaces(args.pack, split, limit)
        batch = data.__getitems__(range(len(data)))
        points, five = locate(prior, batch["hr"]), data.points5[data.rows]
        print(f"{split}, {len(data)} faces: {errors(points, batch['landmarks'])}")
        gap = disagreement(five, points.numpy())
        print("  five points, eye distances:", {q: round(float(np.quantile(gap, q)), 3) for q in (0.5, 0.99, 0.999, 1)})
        shifted = disagreement(five + np.float32([10, 0]), points.numpy())
        print(f"  the same with points 10 pixels off: 5 % lie below {np.quantile(shifted, 0.05):.3f}")
    if args.boxes:
        data = PackedFaces(args.pack, "train")
        batch = data.__getitems__(np.linspace(0, len(data) - 1, 256).astype(int))
        for side in (96, 112, 128, 140, 152):
            for top in (4, 8, 11, 16, 21):
                prior.box = (64 - side // 2, top, side)
                print(f"side {side}, top {top}: {errors(locate(prior, batch['hr']), batch['landmarks'])}")


if __name__ == "__main__":
    main()
