"""What tools and notebooks call: train, test, load_model, hallucinate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ofhkit.comparison.compare import compare
from ofhkit.comparison.pipelines import load_model, resolve_data
from ofhkit.config import load_config
from ofhkit.engine.curriculum import Options, check_run, run_curriculum
from ofhkit.errors import OfhkitError
from ofhkit.progress import say

__all__ = ["Options", "Result", "compare", "hallucinate", "load_model", "train"]


def train(
    config_file: str | Path,
    options: Options,
    data_root: str | Path | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> Path:
    """Run a configuration's curriculum; returns the path of the finished ``model.safetensors``.

    Args:
        config_file: of ``configs/``.
        options: where and how.
        data_root: overrides the configuration's; a raw CelebA folder is prepared once.
        cfg_options: dotted keys to values.
        seed: overrides ``runtime.seed``.

    Raises:
        OfhkitError: whatever a user can mend.
    """
    overrides = dict(cfg_options or {})
    if seed is not None:
        overrides["runtime.seed"] = seed
    config = load_config(config_file, overrides)
    check_run(config, options)
    resolve_data(config, data_root)
    name = Path(config_file).stem
    model = run_curriculum(config, name, options, say)
    if config.evaluation.after_training and model.is_file():
        limit = config.evaluation.after_training
        compare([config_file], options.work_dir, out=model.parent, limit=limit, device=options.device, quick=True)
    return model


@dataclass(frozen=True)
class Result:
    """A hallucinated face, or a batch of them; ``np.asarray(result)`` is ``sr``.

    Attributes:
        sr: (…, 128, 128, 3) RGB, uint8 or float as the input.
        completed: (…, 16, 16, 3), the input with its hole filled.
        mask: (…, 16, 16) bool, True = occluded.
    """

    sr: np.ndarray
    completed: np.ndarray
    mask: np.ndarray

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.sr if dtype is None else self.sr.astype(dtype)


@torch.no_grad()
def hallucinate(model: nn.Module, image: np.ndarray, mask: np.ndarray | None = None) -> Result:
    """Turn tiny faces with holes into complete large ones.

    Args:
        model: of :func:`load_model`.
        image: (16, 16, 3) or (N, 16, 16, 3) RGB, uint8, or float in [0, 1].
        mask: (16, 16) or (N, 16, 16); nonzero = occluded. None: nothing is.

    Raises:
        OfhkitError: another shape, type or range; says which was expected.

    >>> import ofhkit, numpy as np
    >>> from ofhkit.registry import HALLUCINATORS
    >>> model = HALLUCINATORS.build(dict(type='FaceHallucinator', inpainter=dict(type='EncoderDecoder'),
    ...     upsampler=dict(type='Bicubic'))).eval()
    >>> ofhkit.hallucinate(model, np.zeros((16, 16, 3), np.uint8), np.ones((16, 16))).sr.shape
    (128, 128, 3)
    """
    image = np.asarray(image)
    single = image.ndim == 3
    batch = image[None] if single else image
    if batch.ndim != 4 or batch.shape[-1] != 3 or batch.shape[1] % 4 or batch.shape[2] % 4:
        raise OfhkitError(f"image must be (16, 16, 3) or (N, 16, 16, 3) RGB, got {image.shape}")
    holes = np.zeros(batch.shape[:3], bool) if mask is None else np.asarray(mask) != 0
    holes = holes[None] if holes.ndim == 2 else holes
    if holes.shape != batch.shape[:3]:
        raise OfhkitError(f"mask must be {batch.shape[1:3]} or {batch.shape[:3]}, got {np.shape(mask)}")
    integer = batch.dtype == np.uint8
    if not integer and not np.issubdtype(batch.dtype, np.floating):
        raise OfhkitError(f"image must be uint8, or float in [0, 1], got {batch.dtype}")
    if not integer and not (np.isfinite(batch).all() and batch.min(initial=0) >= 0 and batch.max(initial=0) <= 1):
        raise OfhkitError("a float image must lie in [0, 1] and hold no NaN; divide by 255, or pass uint8")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    x = torch.from_numpy(np.ascontiguousarray(batch)).to(device).permute(0, 3, 1, 2).float() / (255 if integer else 1)
    m = torch.from_numpy(holes).to(device)[:, None].float()
    out = model.predict(x * (1 - m), m)

    def back(t: torch.Tensor) -> np.ndarray:
        t = t.permute(0, 2, 3, 1)
        array = (t * 255).round().to(torch.uint8).cpu().numpy() if integer else t.cpu().numpy().astype(batch.dtype)
        return array[0] if single else array

    return Result(back(out["sr"]), back(out["completed"]), holes[0] if single else holes)
