"""What the checks share: a batch of faces with everything that a component may ask for, and how a promise breaks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ofhkit.registry import DEGRADATIONS

KEYS = (
    "sr", "hr", "lr", "lr_gt", "lr_filled", "completed", "mask", "landmarks", "parsing", "fake_logits", "real_logits",
    "landmark_prior", "predicted_landmarks", "parsing_logits", "index", "hr_landmarks",
)  # fmt: skip


class ContractError(AssertionError):
    """A component breaks what its role promises."""


def require(condition: object, message: str) -> None:
    if not condition:
        raise ContractError(message)


def same(a: Tensor, b: Tensor, tolerance: float = 0.0) -> bool:
    return a.shape == b.shape and bool(torch.allclose(a, b, rtol=tolerance, atol=tolerance))


def faces(count: int = 2, size: int = 128) -> dict[str, Tensor]:
    """Return a batch of smooth random pictures as a data set gives it: ``hr`` uint8, ``index``, ``sample_id``, labels.

    >>> faces()['hr'].shape
    torch.Size([2, 3, 128, 128])
    """
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 8, 8, generator=random)
    hr = nn.functional.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False)
    index = torch.arange(count)
    labels = torch.randint(0, 11, (count, size, size), generator=random, dtype=torch.uint8)
    points = torch.rand(count, 68, 2, generator=random) * (size - 1)
    return {"hr": (hr * 255).byte(), "index": index, "sample_id": index, "landmarks": points, "parsing": labels}


def sample_batch(count: int = 2) -> dict[str, Tensor]:
    batch = DEGRADATIONS.build(dict(type="Degradation"))(faces(count), training=False)
    random = torch.Generator().manual_seed(1)
    return batch | {
        "sr": (batch["hr"] + 0.1 * torch.rand(batch["hr"].shape, generator=random)).clamp(0, 1),
        "lr_filled": (batch["lr_gt"] + 0.1 * batch["mask"]).clamp(0, 1),
        "completed": (batch["lr_gt"] + 0.1 * batch["mask"]).clamp(0, 1),
        "fake_logits": torch.randn(count, 1, generator=random),
        "real_logits": torch.randn(count, 1, generator=random),
        "predicted_landmarks": batch["landmarks"] + 1,
        "hr_landmarks": batch["landmarks"],
        "parsing_logits": torch.randn(count, 16, 128, 128, generator=random),
    }
