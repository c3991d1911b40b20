"""Configurations of tiny curricula, and the tool that trains them in a process of its own."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
CONFIG = """
_base_ = {base!r}
method = {method!r}
model = dict(
    inpainter=dict(channels=(4, 4, 8, 8), decoder_channels=(8, 4, 4)),
    {model}
)
stages = dict(
    landmarks=dict(iterations=4, batch_size=4),
    inpainter=dict(iterations=10, batch_size=4),
    upsampler=dict(iterations=10, batch_size=4),
)
runtime = dict(checkpoint_interval=2, validations=2, val_images=4, log_interval=5)
evaluation = dict(batch_size=8)
"""
OFHNET = """upsampler=dict(channels=(4, 4, 4), head_channels=(4, 4)),
    discriminator=dict(channels=(4, 4, 4, 4, 4, 4), out_channels=4),"""


def write_config(folder: Path, name: str, method: str, model: str = "", more: str = "") -> Path:
    """Write ``NAME_tiny.py`` upon ``configs/NAME_celeba.py``."""
    path = folder / f"{name}_tiny.py"
    path.write_text(CONFIG.format(base=str(ROOT / f"configs/{name}_celeba.py"), method=method, model=model) + more)
    return path


def command(config: Path, faces: Path, work: Path, *more: str) -> list[str]:
    tool = [sys.executable, str(ROOT / "tools/train.py"), str(config)]
    return [*tool, "--data-root", str(faces), "--work-dir", str(work), "--device", "cpu", *more]
