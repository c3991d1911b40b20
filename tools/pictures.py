"""Make the pictures of README and documentation with the weights that ship: rendered faces and a portrait.

    python tools/pictures.py [readme] [models] [gallery] --out docs/pictures

readme: strip.jpg and photo.jpg. models: models/NAME.jpg of every model that ships. gallery: methods.jpg, holes.jpg,
failures.jpg. The portrait is scikit-image's: Eileen Collins, by NASA, public domain. Run it again when weights change.
"""

from __future__ import annotations

from pathlib import Path

from ofhkit.commands.options import Parser, run, whole

SHOWN = ("inpainter", "ofhnet", "ofhnet-plus", "ofhnet-plus-perceptual")
BOX = (192, 84, 44, 28)  # x, y, w, h: over an eye of the portrait
FACE = (112, 20, 272, 220)  # left, top, right, bottom of what is shown of it
SIZES = (4, 6, 8, 10, 12)  # sides of the square holes; up to 8 x 8 was trained
ROWS = 4


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="readme, models, gallery (default: all)")
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"), metavar="DIR")
    parser.add_argument("--search", type=whole(ROWS), default=100, metavar="N", help="faces to find failures in (100)")
    args = parser.parse_args()

    import numpy as np
    import torch
    from PIL import Image

    from ofhkit.errors import OfhkitError, did_you_mean
    from ofhkit.export import sample
    from ofhkit.functional.image_quality import psnr
    from ofhkit.functional.images import face_grid
    from ofhkit.functional.resample import downsample_cubic
    from ofhkit.models.inference import faster, run_batches
    from ofhkit.restoration import MaskOptions, Restorer, to_picture
    from ofhkit.runtime.files import asset
    from ofhkit.zoo import DEFAULT_MODEL, load_model, zoo

    def write(name: str, pixels: np.ndarray) -> None:
        path = args.out / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=88, subsampling=0)
        print(path, f"{path.stat().st_size / 1e3:.0f} kB")

    def faces(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The portrait, then rendered faces: tiny ones without the hole, holes, true faces."""
        portrait = np.asarray(Image.open(asset("astronaut_face.png")).convert("RGB"))
        first = torch.from_numpy(portrait.copy()).permute(2, 0, 1)[None] / 255
        rest = sample(count - 1)
        hr = torch.cat([first, rest.hr])
        mask = torch.cat([square(7, 1), rest.mask])
        return downsample_cubic(hr).clamp(0, 1), mask, hr

    def square(side: int, count: int) -> torch.Tensor:
        """A centred hole, as the paper's Figures 9 and 10 have it."""
        mask = torch.zeros(count, 1, 16, 16)
        start = (16 - side) // 2
        mask[..., start : start + side, start : start + side] = 1
        return mask

    def sr(name: str, lr: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return run_batches(models[name], lr, mask).sr

    def readme() -> None:
        lr, mask, hr = faces(3)
        columns = {"16x16 with a hole": seen(lr, mask)}
        columns |= {TITLES.get(name, name): sr(name, lr, mask) for name in SHOWN}
        write("strip", face_grid({**columns, "the true face": hr}))
        try:
            from skimage.data import astronaut
        except ImportError:
            raise OfhkitError("photo.jpg is made of scikit-image's portrait: pip install scikit-image") from None
        picture = to_picture(astronaut(), "portrait")
        (done,) = Restorer(load_model(), MaskOptions(boxes=[BOX])).restore([picture])
        before, (x, y, w, h), (left, top, right, bottom) = picture.rgb.copy(), BOX, FACE
        before[y : y + h, x : x + w] = 0
        write("photo", np.hstack([p[top:bottom, left:right] for p in (before, done.image)]))

    def of_models() -> None:
        lr, mask, _ = faces(4)
        for name in models:
            pairs = zip(seen(lr, mask).split(1), sr(name, lr, mask).split(1), strict=True)
            columns = {" " * i + title: face for i, pair in enumerate(pairs) for title, face in zip(("lr", "sr"), pair)}
            write(f"models/{name}", face_grid(columns))

    def gallery() -> None:
        lr, mask, hr = faces(1 + ROWS)
        columns = {TITLES.get(name, name): sr(name, lr, mask) for name in models}
        write("methods", face_grid({"lr": seen(lr, mask), **columns, "hr": hr}))
        lr, _, hr = faces(3)
        tall = {}
        for side in SIZES:
            hole = square(side, len(lr))
            tall |= {f"{side}x{side}": seen(lr, hole), " " * side + "restored": sr(DEFAULT_MODEL, lr, hole)}
        write("holes", face_grid({**tall, "hr": hr}))
        found = sample(args.search)
        restored = sr(DEFAULT_MODEL, downsample_cubic(found.hr).clamp(0, 1), found.mask)
        scores = psnr(restored, found.hr, 1.0)
        worst = scores.argsort()[:ROWS]
        labels = [f"{scores[i]:.1f} dB" for i in worst]
        shown = {"lr": seen(found.lr[worst], found.mask[worst]), DEFAULT_MODEL: restored[worst], "hr": found.hr[worst]}
        write("failures", face_grid(shown, rows=labels))

    jobs = {"readme": readme, "models": of_models, "gallery": gallery}
    for part in args.parts:
        if part not in jobs:
            parser.error(f"no part {part!r}; {did_you_mean(part, jobs)}")
    models = {name: faster(load_model(name, "cpu")) for name in zoo()}
    for part in args.parts or jobs:
        jobs[part]()


TITLES = {"inpainter": "IN + bicubic", "ofhnet-plus-perceptual": "plus-perceptual"}


def seen(lr, mask):
    """What goes in; the hole in grey, so that it is not taken for black hair."""
    return lr * (1 - mask) + 0.5 * mask


if __name__ == "__main__":
    run(main)
