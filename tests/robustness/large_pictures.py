"""Pictures that are as large as each format may be, and what a process takes at the most to restore one of them.

python large_pictures.py PICTURE OPTION...    # prints the MB above the start; options as those of tools/infer.py
"""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ofhkit.data.picture_checks import BYTES_PER_PIXEL, FRAME_WEIGHT, MEMORY, WEIGHTS
from ofhkit.files import asset

Image.MAX_IMAGE_PIXELS = None
HOLES = {
    "box": ["--box", "{x},{x},{x},{x}"],
    "auto": ["--mask", "auto"],
    "mask": ["--mask", "{mask}"],
    "uncertainty": ["--box", "{x},{x},{x},{x}", "--uncertainty"],
}


def _side(weight: float, most: int = 32_000) -> int:
    return min(most, int((MEMORY / BYTES_PER_PIXEL / weight) ** 0.5))


def face(side: int) -> np.ndarray:
    """(side, side, 3) uint8: a face that is found, of which some pixels dropped out, on a flat border."""
    with Image.open(asset("astronaut_face.png")) as image:
        rgb = np.array(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR))
    rgb[:: side // 50, :: side // 50] = 0
    rgb[: side // 99] = 7
    return rgb


def formats() -> dict[str, tuple]:
    """Name -> weight (how many times a common picture's memory a pixel of it takes), and what Pillow is told."""
    deep, jp2, avif, webp = 2, WEIGHTS["JPEG2000"], WEIGHTS["AVIF"], WEIGHTS["WEBP"]
    return {
        "rgb.png": (1, "RGB", {"compress_level": 1}), "rgba.png": (1, "RGBA", {"compress_level": 1}),
        "grey.png": (1, "L", {"compress_level": 1}), "bits.png": (1, "1", {}), "palette.png": (1, "P", {}),
        "palette_alpha.png": (1, "P", {"transparency": 3}), "grey_alpha.png": (1, "LA", {"compress_level": 1}),
        "deep_grey.png": (1, "I;16", {}), "deep_rgb.png": (deep, "cv16", 3), "deep_rgba.png": (deep, "cv16", 4),
        "plain.jpg": (1, "RGB", {}), "progressive.jpg": (1, "RGB", {"progressive": True}), "cmyk.jpg": (1, "CMYK", {}),
        "turned.jpg": (1, "RGB", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"}),
        "plain.gif": (1, "P", {}), "moving.gif": (FRAME_WEIGHT, "P", "moving"), "plain.bmp": (1, "RGB", {}),
        "plain.tga": (1, "RGB", {"compression": "tga_rle"}), "plain.ppm": (1, "RGB", {}),
        "plain.tif": (1, "RGB", {}), "lzw.tif": (1, "RGB", {"compression": "tiff_lzw"}),
        "float.tif": (1, "F", {}), "whole.tif": (1, "I", {}), "cmyk.tif": (1, "CMYK", {}), "lab.tif": (1, "LAB", {}),
        "deep_rgb.tif": (48 / 40, "cvtif", 3), "deep_rgba.tif": (64 / 40, "cvtif", 4),
        "floats_rgb.tif": (96 / 40, "cvfloat", 3),
        "pages.tif": (FRAME_WEIGHT, "RGB", "moving"),
        "lossy.webp": (webp, "RGB", {"method": 0}), "lossless.webp": (webp, "RGBA", {"lossless": True, "method": 0}),
        "plain.jp2": (jp2, "RGB", {}), "plain.avif": (avif, "RGB", {"speed": 10}),
        "alpha.avif": (avif, "RGBA", {"speed": 10}),
    }  # fmt: skip


def write(name: str, folder: Path) -> Path:
    """Write one of :func:`formats` as large as it is taken."""
    weight, mode, options = formats()[name]
    path, side = folder / name, _side(weight, 16_000 if name.endswith("webp") else 32_000)
    rgb = face(side)
    if mode.startswith("cv"):
        kind = np.float32 if mode == "cvfloat" else np.uint16
        bgr = rgb[..., ::-1].astype(kind) * kind(257 if kind is np.uint16 else 1 / 255)
        del rgb
        if options == 4:
            alpha = np.full_like(bgr[..., :1], 65_535)
            alpha[: side // 2] = 100
            bgr = np.concatenate([bgr, alpha], -1)
        assert cv2.imwrite(str(path), bgr)
        return path
    image = Image.fromarray(rgb)
    if mode in ("RGBA", "LA"):
        image = image.convert("L") if mode == "LA" else image
        image.putalpha(Image.linear_gradient("L").resize((side, side)))
    elif mode == "I;16":
        image = Image.fromarray(rgb[..., 1].astype(np.uint16) * 200)
    elif mode == "F":
        image = Image.fromarray(rgb[..., 1] / np.float32(255))
    elif mode == "I":
        image = Image.fromarray(rgb[..., 1].astype(np.int32) * 200)
    elif mode == "LAB":
        image = Image.frombytes("LAB", image.size, rgb.tobytes())
    elif mode != "RGB":
        image = image.convert(mode)
    if options == "moving":
        options = dict(save_all=True, append_images=[image.rotate(90)])
    image.save(path, **options)
    return path


def taken(path: Path, hole: str, folder: Path) -> tuple[int, str]:
    """MB above the start that a process of its own takes to restore a picture, and what it says of it."""
    with Image.open(path) as image:
        x = min(image.size) // 3
    mask = folder / "mask.png"
    options = [option.format(x=x, mask=mask) for option in HOLES[hole]]
    if hole == "mask":
        grey = np.zeros((3 * x, 3 * x), np.uint8)
        grey[x : 2 * x, x : 2 * x] = 255
        cv2.imwrite(str(mask), cv2.merge([grey] * 3))
    command = [sys.executable, __file__, str(path), str(folder / "out"), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    memory, said = done.stdout.strip().splitlines()[-1].split(" ", 1)
    return int(memory), said


def main() -> None:
    import resource

    from ofhkit.restoration import MaskOptions, Restorer, restore_files
    from ofhkit.restoration.masks import parse_box
    from ofhkit.zoo import load_model

    picture, out, *options = sys.argv[1:]
    boxes = [parse_box(options[1])] if "--box" in options else []
    mask = options[1] if "--mask" in options else None
    restorer = Restorer(
        load_model("ofhnet-synthetic", "cpu"), MaskOptions(mask, boxes), uncertainty="--uncertainty" in options
    )
    restore_files([asset("astronaut_face.png")], out, restorer)  # networks are loaded
    Path("/proc/self/clear_refs").write_text("5")
    start = _memory("VmRSS")
    resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") * 2**20 + 2 * MEMORY,) * 2)
    [row] = restore_files([picture], out, restorer).rows
    print(_memory("VmHWM") - start, row["status"], row["kind"], row["notes"], row.get("error"))


def _memory(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(key))


if __name__ == "__main__":
    main()
