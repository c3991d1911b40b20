"""Pictures that are as large as each format may be, and what a process takes at the most to read or restore one.

python large_pictures.py PICTURE FOLDER OPTION...    # prints the MB above the start; options as those of tools/infer.py
"""

import subprocess
import sys
from collections import deque
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ofhkit.data.picture_checks import BYTES_PER_PIXEL, FRAME_WEIGHT, MEMORY, WEIGHTS
from ofhkit.runtime.files import asset

Image.MAX_IMAGE_PIXELS = None
EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"  # lies on its side
QUICK = {"compress_level": 1}
FORMATS = {  # name -> mode, what Pillow is told; or type, bands for OpenCV
    "rgb.png": ("RGB", QUICK), "rgba.png": ("RGBA", QUICK), "grey.png": ("L", QUICK), "grey_alpha.png": ("LA", QUICK),
    "bits.png": ("1", QUICK), "palette.png": ("P", QUICK), "palette_alpha.png": ("P", {"transparency": 3}),
    "deep_grey.png": ("I;16", QUICK), "deep_rgb.png": (np.uint16, 3), "deep_rgba.png": (np.uint16, 4),
    "moving.png": ("RGB", "moving"), "plain.jpg": ("RGB", {}), "progressive.jpg": ("RGB", {"progressive": True}),
    "cmyk.jpg": ("CMYK", {}), "turned.jpg": ("RGB", {"exif": EXIF}), "plain.gif": ("P", {}),
    "moving.gif": ("P", "moving"), "plain.bmp": ("RGB", {}), "plain.tga": ("RGB", {"compression": "tga_rle"}),
    "plain.ppm": ("RGB", {}), "plain.tif": ("RGB", {}), "lzw.tif": ("RGB", {"compression": "tiff_lzw"}),
    "float.tif": ("F", {}), "whole.tif": ("I", {}), "cmyk.tif": ("CMYK", {}), "lab.tif": ("LAB", {}),
    "pages.tif": ("RGB", "moving"), "deep_rgb.tif": (np.uint16, 3), "deep_rgba.tif": (np.uint16, 4),
    "floats_rgb.tif": (np.float32, 3), "lossy.webp": ("RGB", {"method": 0}),
    "alpha.webp": ("RGBA", {"method": 0}), "plain.jp2": ("RGB", {}),
    "plain.avif": ("RGB", {"speed": 10}), "alpha.avif": ("RGBA", {"speed": 10}),
}  # fmt: skip
MASKS = {
    "box": ["--box", "{x},{x},{x},{x}"], 
    "auto": ["--mask", "auto"], "mask": ["--mask", "{mask}"], "read": ["--read"],
}  # fmt: skip


def largest_side(name: str, memory: int = MEMORY) -> int:
    """Of a square of this format that is taken."""
    mode, options = FORMATS[name]
    weight = WEIGHTS.get({".jp2": "JPEG2000", ".avif": "AVIF", ".webp": "WEBP"}.get(Path(name).suffix), 1)
    if options == "moving":
        weight = FRAME_WEIGHT
    elif not isinstance(mode, str):
        weight = 2 if mode is np.uint16 else 2.5
    return min(16_000, int((memory / BYTES_PER_PIXEL / weight) ** 0.5))


def face(side: int) -> np.ndarray:
    """(side, side, 3) uint8: noise, in it a face that is found, dropouts, and a flat border."""
    rgb = cv2.resize(np.random.default_rng(0).integers(90, 160, (64, 64, 3), np.uint8), (side, side))
    part = slice(side // 10, side // 10 * 9)
    with Image.open(asset("astronaut_face.png")) as image:
        rgb[part, part] = image.convert("RGB").resize((part.stop - part.start,) * 2, Image.Resampling.BILINEAR)
    rgb[:: side // 50, :: side // 50] = 0
    rgb[: side // 99] = 7
    return rgb


def write(name: str, folder: Path, memory: int = MEMORY) -> Path:
    """Write one of :data:`FORMATS` as large as it is taken."""
    (mode, options), path = FORMATS[name], Path(folder) / name
    side = largest_side(name, memory)
    rgb = face(side)
    if not isinstance(mode, str):
        image = rgb[..., ::-1] * mode(257 if mode is np.uint16 else 1 / 255)
        alpha = np.full((side, side, options - 3), 65_535, mode)
        alpha[: side // 2] = 100
        assert cv2.imwrite(str(path), np.concatenate([image, alpha], -1))
        return path
    grey = {"I;16": np.uint16(200), "F": np.float32(1 / 255), "I": np.int32(200)}
    image = Image.fromarray(rgb[..., 1] * grey[mode] if mode in grey else rgb)
    if mode in ("RGBA", "LA"):
        image = image.convert(mode.removesuffix("A"))
        image.putalpha(Image.linear_gradient("L").resize((side, side)))
    elif mode == "LAB":
        image = Image.frombytes("LAB", image.size, rgb.tobytes())
    elif mode not in grey:
        image = image.convert(mode)
    image.save(path, **(dict(save_all=True, append_images=[image.rotate(90)]) if options == "moving" else options))
    return path


def taken(path: Path, how: str, folder: Path) -> tuple[int, str]:
    """MB above the start that a process of its own takes to read or restore a picture, and what it says of it."""
    x = largest_side(path.name) // 3
    mask = folder / "mask.png"
    if how == "mask":
        color = np.zeros((3 * x, 3 * x, 3), np.uint8)
        color[x : 2 * x, x : 2 * x] = (250, 40, 250)
        cv2.imwrite(str(mask), color)
    options = [option.format(x=x, mask=mask) for option in MASKS[how]]
    command = [sys.executable, __file__, str(path), str(folder / "out"), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    memory, said = done.stdout.strip().splitlines()[-1].split(" ", 1)
    return int(memory), said


def main() -> None:
    import resource

    from ofhkit.restoration import MaskOptions, Restorer, read_pictures, restore_files
    from ofhkit.restoration.masks import parse_box
    from ofhkit.zoo import load_model

    picture, out, *options = sys.argv[1:]
    boxes = [parse_box(options[1])] if "--box" in options else []
    mask = MaskOptions(options[1] if "--mask" in options else None, boxes)
    restorer = Restorer(load_model("ofhnet-synthetic", "cpu"), mask)
    restore_files([asset("astronaut_face.png")], out, restorer)  # networks are loaded
    Path("/proc/self/clear_refs").write_text("5")
    start = _memory("VmRSS")
    resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") * 2**20 + 2 * MEMORY,) * 2)
    if "--read" in options:
        deque(read_pictures(picture), maxlen=0)
        print(_memory("VmHWM") - start, "read")
        return
    row = restore_files([picture], out, restorer).rows[0]
    print(
        _memory("VmHWM") - start, row["status"], row.get("kind"), row.get("faces"), row.get("notes"), row.get("error")
    )


def _memory(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(key))


if __name__ == "__main__":
    main()
