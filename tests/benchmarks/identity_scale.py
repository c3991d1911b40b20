"""Print what the metric Identity gives for pairs whose answer is known: the scale to read it on.

python tests/benchmarks/identity_scale.py --pack DIR > docs/results/identity.md
"""

import argparse

import torch
from torch.nn import functional as F

from ofhkit.data.packed import PackedFaces
from ofhkit.functional.resample import downsample_cubic, upsample_bicubic
from ofhkit.models.face_embedding import FaceEmbedding


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--faces", type=int, default=300)
    args = parser.parse_args()
    data = PackedFaces(args.pack, "test", args.faces)
    faces = data.__getitems__(range(len(data)))["hr"].float() / 255
    network = FaceEmbedding()

    def embed(pictures: torch.Tensor) -> torch.Tensor:
        return F.normalize(torch.cat([network(part.clamp(0, 1)) for part in pictures.split(32)]))

    truth = embed(faces)
    pairs = (truth @ truth.mT)[~torch.eye(len(truth), dtype=torch.bool)]
    noise = torch.rand(faces.shape, generator=torch.Generator().manual_seed(0))
    others = {"its mirror image": faces.flip(-1)}
    others |= {
        f"bicubic from {n}x{n}, no hole": upsample_bicubic(downsample_cubic(faces, n), 128 // n) for n in (32, 16, 8)
    }
    others |= {"the mean of all": faces.mean(0).expand_as(faces), "noise": noise}
    print(f"# Identity between pictures whose answer is known\n\n{len(data)} test faces of {data.metainfo['name']}.\n")
    print("| a face and | Identity |\n|---|---:|")
    for name, pictures in others.items():
        print(f"| {name} | {(truth * embed(pictures)).sum(1).mean():.4f} |")
    print(f"| another person | {pairs.mean():.4f} (s.d. {pairs.std():.4f}) |")


if __name__ == "__main__":
    main()
