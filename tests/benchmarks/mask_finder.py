"""Train the network that finds what hides a small face, and measure it (docs/results/mask_finder.md)."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from benchmarks.find_mask import PAINTS, SCORED, ClosedForm, Find, false_alarms, overlaps
from benchmarks.prior import SHAPES, Faces
from ofhkit.data.degradation import Degradation
from ofhkit.data.sampler import ShuffledDataset, fetch, in_batches
from ofhkit.functional.face_labels import PARSING_LABELS
from ofhkit.functional.masks import hash_integers
from ofhkit.functional.resample import downsample_cubic
from ofhkit.models.mask_finder import MaskFinder
from ofhkit.registry import PRIORS
from ofhkit.restoration import MaskOptions, Restorer, draw_overlay, to_picture
from ofhkit.runtime.progress import log
from ofhkit.zoo import completer_for, load_model
from ofhkit.zoo.mask_finder import load_finder

__all__ = ["FALSE_ALARMS", "choose_threshold", "measure", "picture", "train"]

FALSE_ALARMS = 0.015  # of the validation faces, which are not damaged
_BATCH, _EVERY = 32, 200


def _damage(seed: int) -> Degradation:
    """Rectangles, strokes and other shapes of every paint; strokes and one color most often."""
    shapes = ("RandomRectangle",) * 4 + ("Strokes",) * 3 + SHAPES
    paints = (*PAINTS[:1] * 2, *PAINTS, PAINTS[-1])
    parts = [dict(type="Choice", parts=[dict(type=name) for name in names]) for names in (shapes, paints)]
    return Degradation(occluder=parts[0], paint=parts[1], seed=seed)


def _in_the_small_face(batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
    """The same holes with hard edges, as after shrinking: one color, noise of every pixel, or what lay there."""
    like = batch["lr_gt"]
    flat = torch.rand(len(like), 3, 1, 1, generator=generator).expand_as(like)
    noise = torch.rand(like.shape, generator=generator)
    looks = torch.stack((flat, flat, noise, batch["occluded"]))
    chosen = torch.randint(len(looks), (len(like),), generator=generator)
    return torch.where(batch["mask"] > 0.5, looks[chosen, torch.arange(len(like))], like)


def loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Cross entropy, and what the soft overlap of damaged faces lacks; logits (passes, N, 1, H, W)."""
    mask = mask.expand_as(logits)
    share, area = logits.sigmoid(), mask.sum((-3, -2, -1))
    both = (share * mask).sum((-3, -2, -1))
    overlap = both / (share.sum((-3, -2, -1)) + area - both).clamp(min=1)
    damaged = (area > 0).float()
    missing = ((1 - overlap) * damaged).sum() / damaged.sum().clamp(min=1)
    return F.binary_cross_entropy_with_logits(logits, mask) + 0.1 * missing


def train(finder: MaskFinder, faces: Dataset, steps: int, rate: float = 4e-3, seed: int = 0) -> None:
    """Train on faces of which a fourth is undamaged, half painted before and a fourth after the shrinking."""
    samples, damage = ShuffledDataset(faces, seed), _damage(seed)
    optimizer = torch.optim.AdamW(finder.parameters(), rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    generator, start = torch.Generator().manual_seed(seed), time.process_time()
    finder.train()
    for step in range(steps):
        batch = damage(fetch(samples, range(step * _BATCH, (step + 1) * _BATCH)), training=True)
        kind = hash_integers(12, seed, batch["sample_id"], stream=11)[:, None, None, None]
        whole, small = kind < 3, kind > 8
        seen = torch.where(small, _in_the_small_face(batch, generator), batch["occluded"])
        seen = _in_8_bits(torch.where(whole, batch["lr_gt"], seen))
        mask = torch.where(whole, 0, batch["mask"])
        now = loss(finder(seen), mask)
        optimizer.zero_grad()
        now.backward()
        optimizer.step()
        schedule.step()
        if step % _EVERY == 0:
            log.info(f"step {step}/{steps}, loss {now.item():.4f}, {time.process_time() - start:.0f} s of a processor")
    finder.eval()


@torch.no_grad()
def choose_threshold(finder: MaskFinder, faces: Dataset) -> None:
    """Set from which score on a face is damaged: as many undamaged faces as ``FALSE_ALARMS`` says are above."""
    scores = [finder.face_score(finder(small)) for small in small_faces(faces).split(_BATCH)]
    finder.threshold.fill_(torch.cat(scores).quantile(1 - FALSE_ALARMS).clamp(min=0))


def small_faces(faces: Dataset) -> Tensor:
    """All faces of a data set, shrunk: (N, 3, 16, 16) in 8 bits."""
    parts = (batch["hr"].float() / 255 for batch in in_batches(faces, _BATCH))
    return _in_8_bits(torch.cat([downsample_cubic(hr).clamp(0, 1) for hr in parts]))


@torch.no_grad()
def measure(file: Path, root: str, count: int) -> str:
    """The closed form alone and a network, on the test faces of a pack; ``count`` of them are painted."""
    validation, whole = Faces(root, "val", large=False), Faces(root, "test", 1000)
    painted = Faces(root, "test", count)
    finder = load_finder(file)
    finders: dict[str, Find] = {
        "closed form": ClosedForm(finder.scores, _in_8_bits(validation.lr), FALSE_ALARMS),
        file.stem: finder.find,
    }
    parser = PRIORS.build(dict(type="FaceParser", weights="face_parser.safetensors")).eval()
    worn = torch.tensor([PARSING_LABELS.index(name) for name in ("glasses", "hat")])

    def wears(rows: Tensor) -> Tensor:
        labels = parser(whole.hr[rows]).argmax(1)
        return torch.isin(labels, worn).float().mean((1, 2)) > 0.01

    alarms = false_alarms(finders, _in_8_bits(whole.lr), wears)
    found, scores = overlaps(finders, painted, load_model("ofhnet-plus", "cpu"))
    return (
        f"{alarms}\n\nGlasses and hats as the face parser that ships sees them. Thresholds let {FALSE_ALARMS:.1%} of "
        f"undamaged faces pass as damaged, which were not trained on.\n\n"
        f"Mean IoU with the true mask, 0 for a face in which nothing is found, and the share of faces found; {count} "
        f"test faces, painted at 128x128 before the shrinking:\n\n{found}\n\n"
        f"PSNR of ofhnet-plus on the first {SCORED} of them (dB), and against the true mask:\n\n{scores}\n\n"
        f"Test faces of {whole.name}"
    )


def picture() -> np.ndarray:
    """A portrait with a caption, a scribble, a sticker and a bar: damaged, what is found, restored."""
    from skimage.data import astronaut  # Eileen Collins, by NASA, public domain

    model = load_model("ofhnet-plus", "cpu")
    restorer, columns = Restorer(model, MaskOptions(mask="auto"), completer=completer_for(model, "cpu")), []
    for damage in (_caption, _scribble, _sticker, _bar):
        damaged = astronaut()
        damage(damaged)
        outcome = next(restorer.restore([to_picture(damaged, damage.__name__)]))
        overlay = draw_overlay(damaged, outcome.mask.hidden, np.zeros((0, 2, 3)))
        columns.append(np.vstack([part[30:230, 120:320] for part in (damaged, overlay, outcome.image)]))
    return np.hstack(columns)


def _caption(image: np.ndarray) -> None:
    cv2.putText(image, "SAMPLE 2024", (120, 150), cv2.FONT_HERSHEY_SIMPLEX, 1.1, (255, 255, 255), 5)


def _scribble(image: np.ndarray) -> None:
    points = np.array((222, 130)) + np.cumsum(np.random.default_rng(1).normal(0, 18, (14, 2)), 0)
    cv2.polylines(image, [points.astype(np.int32)], False, (200, 30, 40), 7)


def _sticker(image: np.ndarray) -> None:
    cv2.circle(image, (240, 140), 24, (250, 210, 40), -1)
    for x in (232, 248):
        cv2.circle(image, (x, 133), 4, (40, 30, 20), -1)
    cv2.ellipse(image, (240, 142), (12, 8), 0, 0, 180, (40, 30, 20), 3)


def _bar(image: np.ndarray) -> None:
    cv2.rectangle(image, (170, 105), (275, 128), (128, 120, 125), -1)


def _in_8_bits(x: Tensor) -> Tensor:
    return (x * 255).round() / 255
