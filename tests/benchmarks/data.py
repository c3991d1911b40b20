"""Training batches from a pack beside a DataLoader that decodes JPEGs; shrinking beside PIL."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.timing import Table, environment, measure
from ofhkit.data.degradation import Degradation
from ofhkit.functional.resample import cubic_matrix, downsample_cubic
from ofhkit.registry import DEGRADATIONS
from ofhkit.rendering import SyntheticFaces

NUM_FACES, EPOCH = 256, 2048  # different pictures; how many one timed call reads
SIZE = (218, 178)  # of CelebA's aligned pictures


class JpegFaces(Dataset):
    """What most training code does: decode, crop, flip, PIL's bicubic, a hole, float tensors; one face at a time."""

    def __init__(self, files: list[bytes]):
        self.files = files

    def __len__(self) -> int:
        return EPOCH

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        rng = np.random.default_rng(i)
        image = cv2.imdecode(np.frombuffer(self.files[i % len(self.files)], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        hr = image[45:173, 25:153]
        hr = np.ascontiguousarray(hr[:, ::-1] if rng.random() < 0.5 else hr)
        lr = np.array(Image.fromarray(hr).resize((16, 16), Image.Resampling.BICUBIC))
        mask = np.zeros((1, 16, 16), np.float32)
        top, left = rng.integers(0, 9, 2)
        mask[:, top : top + 6, left : left + 7] = 1
        lr_gt = torch.from_numpy(lr).permute(2, 0, 1).float() / 255
        hole = torch.from_numpy(mask)
        return {
            "hr": torch.from_numpy(hr).permute(2, 0, 1).float() / 255,
            "lr_gt": lr_gt,
            "mask": hole,
            "lr": lr_gt * (1 - hole),
        }


def run(
    device: torch.device, batches: tuple[int, ...], rounds: int, compiled: bool, precision: str = "float32"
) -> list[Table]:
    """Return the table of whole batches and that of shrinking alone; they run on the CPU, in float32."""
    faces = SyntheticFaces(NUM_FACES, split="train")
    hr = faces.__getitems__(range(NUM_FACES))["hr"]
    reading = Table("Training batches: hr, lr_gt, mask, lr")
    for batch in batches:
        times, reading.ceilings = measure(readers(faces, hr, batch), rounds, torch.device("cpu"))
        best = min(seconds for name, seconds in times.items() if name.startswith("JPEG"))
        for name, seconds in times.items():
            row = {"batch": batch, "variant": name, "images/s": EPOCH / seconds}
            reading.rows.append({**row, "x best JPEG": best / seconds})
    shrinking = Table("Shrinking 128 to 16, antialiased bicubic")
    times, shrinking.ceilings = measure(shrinkers(hr), rounds, torch.device("cpu"))
    for name, seconds in times.items():
        row = {"variant": name, "images/s": NUM_FACES / seconds, "x PIL": times["PIL, bytes"] / seconds}
        ours = name.startswith("downsample_cubic_uint8")
        shrinking.rows.append({**row, "bytes that differ from PIL's": differing_bytes(hr) if ours else ""})
    for table in (reading, shrinking):
        table.environment = environment(torch.device("cpu"))
    return [reading, shrinking]


def readers(faces: Dataset, hr: Tensor, batch: int) -> dict[str, Callable[[], object]]:
    """Return calls that each make EPOCH training faces."""
    files = [encode(face) for face in hr.permute(0, 2, 3, 1).numpy()]
    degrade = Degradation(DEGRADATIONS.build(dict(type="RandomRectangle")))
    order = np.random.default_rng(0).integers(0, NUM_FACES, EPOCH)

    def packed() -> None:
        for start in range(0, EPOCH, batch):
            data = faces.__getitems__(order[start : start + batch])
            data = {"hr": data["hr"], "index": data["index"]}  # the JPEGs have no labels either
            degrade({**data, "sample_id": torch.arange(start, start + len(data["hr"]))}, training=True)

    def consume(loader: DataLoader) -> Callable[[], None]:
        return lambda: _exhaust(iter(loader))

    jpegs = {
        f"JPEG, DataLoader with {n} workers": consume(
            DataLoader(JpegFaces(files), batch, shuffle=True, num_workers=n, persistent_workers=n > 0)
        )
        for n in (0, 2)
    }
    return {**jpegs, "PackedFaces + Degradation": packed}


def shrinkers(hr: Tensor) -> dict[str, Callable[[], object]]:
    """Return the ways to small faces."""
    images, values = hr.permute(0, 2, 3, 1).contiguous().numpy(), hr.float() / 255
    return {
        "PIL, bytes": lambda: [Image.fromarray(f).resize((16, 16), Image.Resampling.BICUBIC) for f in images],
        "downsample_cubic_uint8, bytes": lambda: downsample_cubic_uint8(hr),
        "torch.interpolate, float": lambda: torch.nn.functional.interpolate(
            values, (16, 16), mode="bicubic", antialias=True
        ),
        "downsample_cubic, float": lambda: downsample_cubic(values),
    }


def downsample_cubic_uint8(hr: Tensor, size: int = 16, chunk: int = 32) -> Tensor:
    """Shrink uint8 images to the very bytes that Pillow's ``resize(BICUBIC)`` gives.

    Pillow rounds its coefficients to 22 bits and the image to whole grey levels between the two passes; both are done
    here in float64, where every product and sum is exact.

    Shape:
        hr (N, C, H, W) uint8. Output (N, C, size, size) uint8.

    >>> downsample_cubic_uint8(torch.full((1, 3, 128, 128), 7, dtype=torch.uint8)).unique()
    tensor([7], dtype=torch.uint8)
    """
    rows, columns = (_fixed_point_matrix(n, size) for n in hr.shape[-2:])
    return torch.cat([_round(rows @ _round(part.double() @ columns.mT)).to(torch.uint8) for part in hr.split(chunk)])


def _fixed_point_matrix(size_in: int, size_out: int) -> Tensor:
    scaled = cubic_matrix(size_in, size_out) * 2.0**22
    return torch.from_numpy(np.trunc(scaled + np.copysign(0.5, scaled)) / 2.0**22)


def _round(x: Tensor) -> Tensor:
    return x.add_(0.5).floor_().clamp_(0, 255)


def differing_bytes(hr: Tensor) -> int:
    """How many of the small faces' bytes are not PIL's; ``hr`` (N, 3, 128, 128) uint8."""
    images = hr.permute(0, 2, 3, 1).contiguous().numpy()
    pil = np.stack([np.asarray(Image.fromarray(f).resize((16, 16), Image.Resampling.BICUBIC)) for f in images])
    return int((downsample_cubic_uint8(hr).permute(0, 2, 3, 1).numpy() != pil).sum())


def _exhaust(batches: Iterator) -> None:
    for _ in batches:
        pass


def encode(face: np.ndarray) -> bytes:
    """A (128, 128, 3) face as a JPEG of CelebA's size and quality."""
    return cv2.imencode(".jpg", cv2.resize(face, SIZE[::-1])[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
