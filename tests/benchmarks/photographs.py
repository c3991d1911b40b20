"""Completing photographs, measured on faces of a pack whose holes are painted at 128x128, before anything is shrunk."""

import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from ofhkit.data.packed import PackedFaces
from ofhkit.data.sampler import fetch, in_batches
from ofhkit.functional.images import to_float, to_uint8
from ofhkit.functional.masks import random_rectangles
from ofhkit.functional.task import SCALE
from ofhkit.models.inference import run_batches
from ofhkit.models.inpainters import SpectralInpainter
from ofhkit.models.losses.perceptual import lpips_maps, pool_lpips
from ofhkit.models.pipeline import FaceHallucinator
from ofhkit.restoration.blending import fill_hole
from ofhkit.restoration.completion import DETAIL, complete_crop
from ofhkit.restoration.faces import crop_and_downsample, scaling

__all__ = ["Painted", "compare", "curve", "cut", "fit_prior", "seam_contrast", "shares", "sheet"]

_BATCH = 256
Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Painted:
    """Faces (N, 3, 128, 128) in [0, 1] of a split and holes (N, 1, 128, 128), those of a test, eight times as large."""

    def __init__(self, root: str, split: str, count: int):
        pack = PackedFaces(root, split)
        self.hr = fetch(pack, range(min(count, len(pack))))["hr"].float() / 255
        small = random_rectangles(torch.arange(len(self.hr)), seed=0)
        self.mask = torch.nn.functional.interpolate(small, scale_factor=SCALE)


def fit_prior(faces: PackedFaces, rank: int) -> SpectralInpainter:
    """Fit the prior to all faces of a split, in one pass."""
    prior = SpectralInpainter(rank=rank)
    for batch in in_batches(faces, _BATCH):
        hr = batch["hr"].float() / 255
        prior.partial_fit(hr, hr)
    prior.finalise()
    return prior.eval()


def hole_psnr(image: Tensor, hr: Tensor, mask: Tensor) -> Tensor:
    """PSNR over the pixels of the hole, (N,) in dB."""
    error = ((image.clamp(0, 1) - hr).square() * mask).sum((1, 2, 3)) / (hr.shape[1] * mask.sum((1, 2, 3)))
    return -10 * error.log10()


def seam_contrast(image: Tensor, hr: Tensor, mask: Tensor) -> float:
    """Mean gradient across the holes' borders over that of the true faces at the same pixels; 1: no seam to be seen."""
    sums = []
    for picture in (image, hr):
        total = 0.0
        for axis in (2, 3):
            size = picture.shape[axis] - 1
            across = mask.narrow(axis, 1, size) != mask.narrow(axis, 0, size)
            steps = (picture.narrow(axis, 1, size) - picture.narrow(axis, 0, size)).abs().mean(1, keepdim=True)
            total += float((steps * across).sum())
        sums.append(total)
    return sums[0] / sums[1]


def cut(prior: SpectralInpainter, rank: int) -> SpectralInpainter:
    """The same prior with fewer components; what they explained becomes noise."""
    state = {name: value.clone() for name, value in prior.state_dict().items()}
    basis, unit, low = state["basis"].float(), state["unit"], prior.mean.shape[-1]
    lost = ((basis[:, :-rank] * unit[:, :-rank, None]) ** 2).sum(1).view(2, 3, low, low // 2)
    for parity in (0, 1):
        state["noise"][:, :low, parity:low:2] += lost[parity] * state["std"][..., parity::2] ** 2
    state |= {"basis": state["basis"][:, -rank:].clone(), "unit": unit[:, -rank:].clone()}
    fewer = SpectralInpainter(rank, prior.frequencies, prior.floor, prior.steps)
    fewer.load_state_dict(state)
    return fewer.eval()


@torch.no_grad()
def curve(prior: SpectralInpainter, faces: Painted, ranks: Sequence[int], steps: Sequence[int]) -> str:
    """PSNR in the hole against the number of components and of steps, Markdown."""
    lines = [
        "| components | MB in 8 bits | " + " | ".join(f"{n} steps" for n in steps) + " |",
        "|---|---|" + "---|" * len(steps),
    ]
    for rank in ranks:
        fewer, scores = cut(prior, rank), []
        for fewer.steps in steps:
            scores.append(hole_psnr(fewer(faces.hr, faces.mask), faces.hr, faces.mask).mean())
        size = fewer.basis.numel() / 1e6
        lines.append(f"| {2 * rank} | {size:.2f} | " + " | ".join(f"{score:.2f}" for score in scores) + " |")
    return "\n".join(lines)


def _small_face(model: FaceHallucinator) -> Fill:
    """The hole as a 16x16 face fills it, of which only pixels that see nothing of the hole are known."""

    def fill(face: np.ndarray, hole: np.ndarray) -> np.ndarray:
        seen = crop_and_downsample(face, hole, scaling(face.shape[0]))
        return to_uint8(run_batches(model, seen.lr[None], seen.mask[None]).sr[0])

    return fill


def _completion(prior: torch.nn.Module, model: FaceHallucinator | None = None, detail: float = DETAIL) -> Fill:
    return lambda face, hole: to_uint8(complete_crop(face, hole, prior, model, detail))


def _diffusion(method: int) -> Fill:
    return lambda face, hole: cv2.inpaint(face, hole.astype(np.uint8), 3, method)


def compare(models: dict[str, FaceHallucinator], prior: torch.nn.Module, faces: Painted) -> str:
    """Every way to fill a hole: a Markdown table."""
    methods = {f"{name}, from 16x16": _small_face(model) for name, model in models.items()}
    methods |= {"Telea": _diffusion(cv2.INPAINT_TELEA), "Navier-Stokes": _diffusion(cv2.INPAINT_NS)}
    methods |= {"prior at 128x128": _completion(prior)}
    methods |= {f"prior and {name}": _completion(prior, model) for name, model in models.items()}
    return _table(methods, faces)


def shares(models: dict[str, FaceHallucinator], prior: torch.nn.Module, faces: Painted) -> str:
    """How much of a model's detail to mix into the prior's completion: a Markdown table."""
    methods = {"prior at 128x128": _completion(prior)}
    for name, model in models.items():
        methods |= {f"{name}, {share:.0%}": _completion(prior, model, share) for share in (0.3, 0.5, 0.7, 1.0)}
    return _table(methods, faces)


def sheet(model: FaceHallucinator, prior: torch.nn.Module, faces: Painted, across: int = 3) -> np.ndarray:
    """Every face with its hole, restored, and true, to be looked at one by one: (H, W, 3) uint8."""
    damaged, restored = _filled(_completion(prior, model), faces)
    shown = np.concatenate((damaged, restored, to_uint8(faces.hr)), 2)
    rows = [np.concatenate(list(shown[i : i + across]), 1) for i in range(0, len(shown) - len(shown) % across, across)]
    return np.concatenate(rows)


@torch.no_grad()
def _filled(fill: Fill, faces: Painted) -> tuple[np.ndarray, np.ndarray]:
    """Faces with grey holes, and these filled and pasted as restoring a photograph does: (N, H, W, 3) uint8 each."""
    pictures, holes = to_uint8(faces.hr), faces.mask[:, 0].numpy() > 0.5
    damaged = np.where(holes[..., None], np.uint8(127), pictures)
    filled = [fill_hole(face, fill(face, hole), scaling(len(face)), hole) for face, hole in zip(damaged, holes)]
    return damaged, np.stack(filled)


@torch.no_grad()
def _table(methods: dict[str, Fill], faces: Painted) -> str:
    """Holes filled by every method and pasted as restoring a photograph does, scored."""
    lines = [
        "| method | PSNR in the hole (dB) | LPIPS in the hole | seam contrast | CPU s a face |",
        "|---|---|---|---|---|",
    ]
    for name, fill in methods.items():
        start = time.process_time()
        image = to_float(_filled(fill, faces)[1])
        taken = (time.process_time() - start) / len(image)
        lpips = pool_lpips(lpips_maps(image, faces.hr), faces.mask).mean()
        score = hole_psnr(image, faces.hr, faces.mask).mean()
        seam = seam_contrast(image, faces.hr, faces.mask)
        lines.append(f"| {name} | {score:.2f} | {lpips:.3f} | {seam:.2f} | {taken:.2f} |")
    return "\n".join(lines)
