"""Bad pictures: bombs that once cost memory, time or a traceback; and any number of them made of good ones."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin

Files = Iterator[tuple[str, bytes]]
Y, X = np.mgrid[:40, :48]
RGB = np.stack([5 * X, 6 * Y, 255 - 5 * X], -1).astype(np.uint8)
IMAGE = Image.fromarray(RGB)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def good() -> dict[str, bytes]:
    """Small pictures of every format, in many modes."""
    frames = dict(save_all=True, append_images=[IMAGE.rotate(90), IMAGE.rotate(180)])
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a face"
    deep = RGB.astype(np.uint16) * 257
    files = {
        "rgb.png": saved(IMAGE, "PNG"), "palette.png": saved(IMAGE.quantize(16), "PNG", transparency=3),
        "moving.png": saved(IMAGE, "PNG", **frames), "grey_alpha.png": saved(IMAGE.convert("LA"), "PNG"),
        "plain.jpg": saved(IMAGE, "JPEG", exif=exif), "progressive.jpg": saved(IMAGE, "JPEG", progressive=True),
        "cmyk.jpg": saved(IMAGE.convert("CMYK"), "JPEG"), "moving.gif": saved(IMAGE, "GIF", **frames),
        "lossy.webp": saved(IMAGE, "WEBP", exif=exif), "moving.webp": saved(IMAGE, "WEBP", lossless=True, **frames),
        "raw.tif": saved(IMAGE, "TIFF"), "lzw.tif": saved(IMAGE, "TIFF", compression="tiff_lzw"),
        "jpeg.tif": saved(IMAGE, "TIFF", compression="jpeg"), "pages.tif": saved(IMAGE, "TIFF", **frames),
        "float.tif": saved(Image.fromarray(RGB[..., 0] / np.float32(255)), "TIFF"), "rgb.bmp": saved(IMAGE, "BMP"),
        "palette.bmp": saved(IMAGE.quantize(16), "BMP"), "rle.tga": saved(IMAGE, "TGA", compression="tga_rle"),
        "rgb.ppm": saved(IMAGE, "PPM"), "rgb.jp2": saved(IMAGE, "JPEG2000"), "rgb.avif": saved(IMAGE, "AVIF"),
        "moving.avif": saved(IMAGE, "AVIF", **frames),
        "deep.png": cv2.imencode(".png", deep)[1].tobytes(), "deep.tif": cv2.imencode(".tiff", deep)[1].tobytes(),
    }  # fmt: skip
    return files


def mutated(count: int, seed: int = 0) -> Files:
    """Good pictures, cut, flipped, with other headers, in pieces of one another."""
    files = list(good().items())
    for number in range(count):
        draw = random.Random(f"{seed} {number}")
        name, content = files[number % len(files)]
        yield f"{number:05d}_{name}", _mutate(bytearray(content), draw, files)


def _mutate(data: bytearray, draw: random.Random, files: list[tuple[str, bytes]]) -> bytes:
    how = draw.randrange(6)
    if how == 0:
        return bytes(data[: draw.randrange(len(data))])
    if how == 1:
        for _ in range(draw.choice((1, 4, 32))):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif how == 2:  # a number of its header is another
        at = draw.randrange(min(len(data) - 8, 200))
        data[at : at + 4] = struct.pack(draw.choice("<>") + "I", draw.choice((0, 1, 2**16 - 1, 2**31 - 1, 2**32 - 1)))
    elif how == 3:  # the head of one, the body of another
        other = draw.choice(files)[1]
        data[draw.randrange(len(data)) :] = other[draw.randrange(len(other)) :]
    elif how == 4:
        a, b = sorted(draw.randrange(len(data)) for _ in range(2))
        data[b:b] = data[a:b] * draw.choice((1, 50))
    else:
        a, b = sorted(draw.randrange(len(data)) for _ in range(2))
        data[a:b] = bytes(draw.choice((0, 255)) for _ in range(b - a)) if draw.random() < 0.5 else b""
    return bytes(data)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def a_png(width: int, height: int, *more: bytes, depth: int = 8, color: int = 2, data: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def a_tiff(content: bytes = b"", **tags: int | tuple[int, ...]) -> bytes:
    """A TIFF of these tags (t256 is the width) whose first block follows its directory."""
    tags = {"t259": 1, "t262": 1, "t277": 1, "t258": 8, "t339": 1, **tags}
    directory = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    for tag, value in tags.items():
        directory.tagtype[int(tag[1:])] = 4
        directory[int(tag[1:])] = value
    for offsets, counts in ((273, 279), (324, 325)):
        if (offsets == 324) == ("t322" in tags):
            directory.tagtype[offsets] = directory.tagtype[counts] = 4
            directory[offsets], directory[counts] = 8, max(1, len(content))
    file = io.BytesIO(b"II*\0\x08\0\0\0")
    file.seek(8)
    directory.save(file)
    return file.getvalue() + content


def many_pages(count: int) -> bytes:
    """A TIFF of so many directories of 1x1 pixel."""
    out, at = [b"II*\0\x08\0\0\0"], 8
    for _ in range(count):
        entries = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 0), (277, 1), (278, 1), (279, 1)]
        at += 2 + 12 * len(entries) + 4
        out.append(struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in entries))
        out.append(struct.pack("<I", at))
    return b"".join(out[:-1]) + b"\0\0\0\0"


def written_down() -> Files:
    """Bombs and other things that are no pictures."""
    zeros = zlib.compress(bytes(30_000_000), 9)
    jpeg = good()["plain.jpg"]
    size = jpeg.index(b"\xff\xc0") + 5
    progressive = good()["progressive.jpg"]
    scan = progressive.rindex(b"\xff\xda")
    gif, frame = good()["moving.gif"], struct.pack("<BHHHHB", 0x2C, 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    webp = bytearray(good()["moving.webp"])
    webp[24:30] = b"\xff\x3f\0\xff\x3f\0"
    yield "large.png", a_png(40_000, 40_000)
    yield "zeros.png", a_png(30_000, 30_000, data=zlib.compress(bytes(90_000_000), 9))
    yield "deep.png", a_png(20_000, 20_000, depth=16, color=6)
    yield "text.png", a_png(8, 8, *[chunk(b"zTXt", b"a\0\0" + zeros)] * 20, data=zlib.compress(bytes(200)))
    yield "profile.png", a_png(8, 8, chunk(b"iCCP", b"a\0\0" + zeros), data=zlib.compress(bytes(200)))
    yield "frames.png", a_png(8, 8, chunk(b"acTL", struct.pack(">II", 2**32 - 1, 0)), data=zlib.compress(bytes(200)))
    yield "large.jpg", jpeg[:size] + b"\xff\xdc\xff\xdc" + jpeg[size + 4 :]
    yield "scans.jpg", progressive[:scan] + progressive[scan:-2] * 20_000 + b"\xff\xd9"
    yield "large.gif", gif[:6] + b"\xff\xff\xff\xff" + gif[10:]
    yield "frames.gif", b"GIF89a\x40\x1f\x40\x1f\0\0\0" + frame * 50_000 + b";"
    yield "large.webp", bytes(webp)
    yield "large.tif", a_tiff(t256=100_000, t257=100_000, t258=(8, 8, 8), t277=3, t278=100_000)
    yield "double.tif", a_tiff(t256=30_000, t257=30_000, t258=64, t339=3, t278=1)
    yield "small_double.tif", a_tiff(bytes(800), t256=10, t257=10, t258=64, t339=3, t278=10)
    yield "tile.tif", a_tiff(bytes(64), t256=16, t257=16, t322=2**31 - 16, t323=2**31 - 16)
    yield "strip.tif", a_tiff(bytes(64), t256=16, t257=16, t278=2**32 - 1)
    yield "bands.tif", a_tiff(bytes(64), t256=16, t257=16, t277=60_000, t278=16)
    yield "deep_color.tif", a_tiff(t256=30_000, t257=3_000, t258=(16, 16, 16), t277=3, t262=2, t278=3_000)
    yield "pages.tif", many_pages(200_000)
    yield "loop.tif", many_pages(2)[:-4] + struct.pack("<I", 8)
    yield "large.bmp", b"BM" + struct.pack("<IIIIiiHHIIiiII", 0, 0, 54, 40, 32_000, 32_000, 1, 8, 1, 0, 0, 0, 0, 0)
    yield "large.tga", struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 65_535, 65_535, 24, 0)
    yield "large.ppm", b"P6 60000 60000 255\n"
    yield "digits.ppm", b"P3 " + b"9" * 3_000_000
    yield "script.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
    yield "layers.psd", b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3) + bytes(40)
    yield "icon.ico", saved(IMAGE, "ICO")
    yield "nothing.png", b""
    yield "letter.png", b"x"
    yield "list.mp4", b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n#EXT-X-ENDLIST\n"
