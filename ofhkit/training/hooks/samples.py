"""A picture every so often: lr | completed | sr | hr."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook

from ofhkit.data.sampler import fetch
from ofhkit.functional.grids import face_grid, write_png
from ofhkit.registry import HOOKS
from ofhkit.runtime.distributed import is_main
from ofhkit.training.hooks.averaging import AverageWeights


@HOOKS.register_module()
class SampleGrid(Hook):
    """Write ``samples/iter_N.png`` with the first images of ``dataset``, one row a face.

    Args:
        dataset: where the faces come from, usually the validation split.
        interval: in iterations.
        num_faces: rows.
        average: whose weights are shown instead of the network's own.
    """

    priority = "LOW"

    def __init__(self, dataset: Any, interval: int, num_faces: int = 6, average: AverageWeights | None = None):
        self.dataset, self.interval, self.num_faces = dataset, interval, num_faces
        self.weights = average.swapped_in if average else nullcontext

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        done = batch_idx + 1
        if not is_main() or (done % self.interval and done != runner.max_iters):
            return
        data = fetch(self.dataset, range(min(self.num_faces, len(self.dataset))))
        runner.model.eval()
        with self.weights():
            batch = runner.model.test_step(data)[0]
        runner.model.train()
        columns = [name for name in ("lr", "lr_filled", "completed", "sr", "lr_gt", "hr") if name in batch]
        columns = [c for c in columns if not (c == "lr_gt" and "sr" in batch)]
        grid = face_grid({name: batch[name] for name in columns})
        try:
            write_png(Path(runner.work_dir) / "samples" / f"iter_{done:08d}.png", grid)
        except OSError as error:
            runner.say(f"[{runner.name}] could not write a sample grid ({error})")
