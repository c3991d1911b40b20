"""What one bicubic picture scores by the rules in use.

python tests/benchmarks/rules.py --pack DIR > docs/results/rules.md
"""

import argparse
from pathlib import Path
from statistics import fmean

import torch
from skimage.metrics import structural_similarity

from ofhkit.data.packed import PackedFaces
from ofhkit.evaluation.protocols import PROTOCOLS
from ofhkit.functional.image_quality import psnr, ssim
from ofhkit.functional.resample import downsample_cubic, upsample_bicubic
from ofhkit.metrics import PSNRY, SSIMY
from ofhkit.metrics.image_quality import luminance


def pillow(lr: torch.Tensor) -> torch.Tensor:
    """Bicubic with a = -0.5, as Pillow and MATLAB enlarge; torch's plain one has a = -0.75."""
    return torch.nn.functional.interpolate(lr, scale_factor=8, mode="bicubic", antialias=True).clamp(0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, required=True)
    parser.add_argument("--faces", type=int, default=1000)
    args = parser.parse_args()
    faces = PackedFaces(args.pack, "test", limit=args.faces)
    degrade = PROTOCOLS["dic"].degrade({}, torch.device("cpu"))
    rows: dict[str, list[tuple[float, float]]] = {}

    def note(rule: str, noise: torch.Tensor, likeness: torch.Tensor) -> None:
        rows.setdefault(rule, []).extend(zip(noise.tolist(), likeness.tolist()))

    for start in range(0, len(faces), 50):
        batch = degrade(faces.__getitems__(range(start, min(start + 50, len(faces)))))
        hr, ours = batch["hr"], upsample_bicubic(downsample_cubic(batch["hr"]).clamp(0, 1)).clamp(0, 1)
        note("`paper`, without a hole: RGB, all pixels", psnr(ours, hr, 1), ssim(ours, hr, 1))
        inner = ours[..., 8:-8, 8:-8], hr[..., 8:-8, 8:-8]
        note("the same, 8 pixels cut", psnr(*inner, 1), ssim(*inner, 1))
        sr = upsample_bicubic(batch["lr"]).clamp(0, 1)
        y, x = luminance(sr), luminance(hr)
        note("`dic`", PSNRY().measure(sr, hr)["PSNR_Y"], SSIMY().measure(sr, hr)["SSIM_Y"])
        default = [structural_similarity(a[0].numpy(), b[0].numpy(), data_range=255) for a, b in zip(y, x)]
        note("the same, scikit-image's default SSIM (7x7, even)", psnr(y, x, 255), torch.tensor(default))
        other = pillow(batch["lr"])
        note("`dic`, Pillow's bicubic (a = -0.5)", *(m.measure(other, hr)[m.name] for m in (PSNRY(), SSIMY())))
    print("# One bicubic picture by several rules\n")
    print(f"{len(faces):,} test faces of {faces.metainfo['name']}, no hole, PSNR in dB and SSIM.\n")
    print("| rule | PSNR | SSIM |\n|---|---:|---:|")
    for rule, values in rows.items():
        print(f"| {rule} | {fmean(v[0] for v in values):.2f} | {fmean(v[1] for v in values):.4f} |")


if __name__ == "__main__":
    main()
