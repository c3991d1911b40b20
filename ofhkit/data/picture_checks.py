"""What a picture file says of itself, checked before anything of its size is held or decoded."""

from typing import BinaryIO

from PIL import Image, TiffImagePlugin

from ofhkit.errors import OfhkitError

__all__ = ["FORMATS", "MEMORY", "check_size", "check_tiff", "count_frames", "is_tiff", "open_picture", "read_tiff_tags"]

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP", "TGA")  # TGA has no signature
MOVING = {"AVIF", "GIF", "PNG", "TIFF", "WEBP"}  # formats whose frames are pictures, and not previews or layers
MEMORY = 3_000_000_000  # bytes that a picture may take above the start, from its file to its result
BYTES_PER_PIXEL = 30  # that reading, restoring and writing take
SHARE = 6  # a file, a block of it, or its decoded values take no more than this part of the memory
MAX_SIDE = 32_000  # OpenCV resamples no longer sides
MAX_FRAMES, FRAME_WEIGHT, MOVING_PIXELS = 10_000, 4, 2_000_000_000
MAX_GIF = 64 * 2**20  # bytes of an animation whose frames are counted one by one
MAX_SCANS = 100  # of a JPEG; each takes as long as the picture
WEIGHTS = {"JPEG2000": 2, "AVIF": 1.5, "WEBP": 1.5}  # decoders that need so many times the memory


def open_picture(file: BinaryIO, memory: int = MEMORY) -> Image.Image:
    """Open a picture whose decoding stays within the memory; nothing is decoded yet.

    Only :data:`FORMATS` are looked for: no other decoder of Pillow's runs, and none that starts a program.

    Args:
        file: of which the start is read; it must be seekable.
        memory: bytes.

    Raises:
        OfhkitError: empty, too large, in no format that is understood; a sentence without the file's name.
        UnidentifiedImageError: none of the formats.
    """
    size = file.seek(0, 2)
    if size == 0:
        raise OfhkitError("the file is empty")
    if size > memory // SHARE:
        raise OfhkitError(f"the file has more than {memory // SHARE // 10**6} MB; reduce it first")
    file.seek(0)
    _check_webp(file.read(30), memory)
    file.seek(0)
    try:
        image = Image.open(file, formats=FORMATS)
    except Image.DecompressionBombError:
        raise OfhkitError(f"more than {memory // BYTES_PER_PIXEL:,} pixels; reduce it first") from None
    if image.format == "TIFF":
        check_tiff(image.tag_v2, memory)
    elif image.format in ("JPEG", "MPO"):
        _check_scans(file)
    check_size(*image.size, memory, WEIGHTS.get(image.format, 1))
    return image


def check_size(width: int, height: int, memory: int, weight: float = 1) -> None:
    """Refuse what is too large; ``weight``: how many times a common picture's memory its pixels take."""
    most = int(memory / BYTES_PER_PIXEL / weight)
    if width * height > most:
        raise OfhkitError(f"{width}x{height} are more than {most:,} pixels; reduce it first")
    if max(width, height) > MAX_SIDE:
        raise OfhkitError(f"{width}x{height} has a side of more than {MAX_SIDE:,} pixels; cut it first")


def count_frames(image: Image.Image, memory: int = MEMORY) -> int:
    """How many pictures a file holds.

    Raises:
        OfhkitError: too many, or too large together.
    """
    if image.format not in MOVING or not getattr(image, "is_animated", False):
        return 1
    if image.format == "GIF" and image.fp.seek(0, 2) > MAX_GIF:
        raise OfhkitError(f"the animation has more than {MAX_GIF // 2**20} MB; make a video of it first")
    frames = _tiff_frames(image) if image.format == "TIFF" else image.n_frames
    width, height = image.size
    if frames > MAX_FRAMES or frames * width * height > MOVING_PIXELS:
        raise OfhkitError(
            f"{frames:,} frames of {width}x{height} are too many (at most {MAX_FRAMES:,}, and {MOVING_PIXELS:,} pixels "
            "together); cut it first"
        )
    if frames > 1:
        check_size(width, height, memory, FRAME_WEIGHT)
    return frames


def is_tiff(file: BinaryIO) -> bool:
    """Whether a file starts as a TIFF does."""
    file.seek(0)
    return file.read(4) in (b"II*\0", b"MM\0*")


def read_tiff_tags(file: BinaryIO) -> TiffImagePlugin.ImageFileDirectory_v2:
    """Tags of a TIFF's first picture."""
    file.seek(0)
    tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(8))
    file.seek(tags.next)
    tags.load(file)
    return tags


def check_tiff(tags: TiffImagePlugin.ImageFileDirectory_v2, memory: int = MEMORY) -> None:
    """Refuse a TIFF whose size, values or blocks are too large."""
    width, height, bands = (_tag(tags, key, default) for key, default in ((256, 0), (257, 0), (277, 1)))
    bits = max(_numbers(tags, 258, 1))
    if not 1 <= bands <= 5 or not 1 <= bits <= 64:
        raise OfhkitError(f"{bands} bands of {bits} bits are no picture; convert it to RGB of 8 or 16 bits first")
    check_size(width, height, memory, max(1.0, bands * bits / 40))
    rows = min(_tag(tags, 278, height), height)
    block = max(_tag(tags, 322, width) * _tag(tags, 323, 1), width * rows) * bands * bits // 8
    if block > memory // SHARE:
        raise OfhkitError(f"a block of it has more than {memory // SHARE // 10**6} MB; write it in smaller ones")


def _numbers(tags: TiffImagePlugin.ImageFileDirectory_v2, key: int, default: int) -> tuple[int, ...]:
    values = tags.get(key, default)
    values = values if isinstance(values, tuple) else (values,)
    if not values or not all(isinstance(value, int) for value in values):
        raise OfhkitError("damaged, it cannot be decoded (a tag of its size is no whole number)")
    return values


def _tag(tags: TiffImagePlugin.ImageFileDirectory_v2, key: int, default: int) -> int:
    return _numbers(tags, key, default)[0]


def _tiff_frames(image: Image.Image) -> int:
    """Count pages one by one, up to one too many: a small file may hold millions."""
    frames = 1
    try:
        while frames <= MAX_FRAMES // 10:
            image.seek(frames)
            frames += 1
        raise OfhkitError(f"more than {MAX_FRAMES // 10:,} pages; cut it first")
    except EOFError:
        image.seek(0)
        return frames


def _check_scans(file: BinaryIO) -> None:
    file.seek(0)
    scans = file.read().count(b"\xff\xda")
    file.seek(0)
    if scans > MAX_SCANS:
        raise OfhkitError(f"a JPEG of {scans:,} scans takes too long to decode; write it anew")


def _check_webp(head: bytes, memory: int) -> None:
    """Pillow makes room for a WebP's canvas while it opens it."""
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) == 30:
        width, height = (1 + int.from_bytes(head[at : at + 3], "little") for at in (24, 27))
        check_size(width, height, memory, WEIGHTS["WEBP"])
