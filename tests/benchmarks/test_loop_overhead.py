"""What the runner costs an iteration beyond a bare PyTorch loop: ``pytest tests/benchmarks/test_loop_overhead.py
--benchmark-only``. Same process, same loader, same model and optimizer, both ways in turn; processor time, the least of
seven turns each, because whoever shares the machine only adds to it.

``PYTHONPATH=tests python tests/benchmarks/test_loop_overhead.py`` prints the number alone.
"""

import math
import tempfile
import time
from pathlib import Path

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from ofhkit.data.sampler import training_loader
from ofhkit.training.hooks import SaveCheckpoint, StopOnNaN
from ofhkit.training.loop import Runner, TrainLoop
from ofhkit.training.monitor import Progress
from ofhkit.training.optim import Wrapper, build_optimizer, build_schedulers, scale_schedule

BATCH, SHORT, LONG, ROUNDS = 4, 100, 600, 7
CPU = torch.device("cpu")


class Faces(torch.utils.data.Dataset):
    """As cheap as can be: nothing is read."""

    def __init__(self):
        self.x = torch.rand(64, 3)

    def __len__(self):
        return 64

    def __getitems__(self, indices):
        chosen = torch.tensor(indices)
        return {"x": self.x[chosen], "index": chosen}


class Model(nn.Module):
    name = "loop"

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 1)

    def terms(self, data: dict) -> dict[str, Tensor]:
        pixel = self.net(data["x"]).square().mean()
        return {"pixel": pixel, "adversarial": 0.1 * pixel, "structure": 0.1 * pixel, "total": 1.2 * pixel}

    def step(self, batch: dict, optim: OptimWrapper) -> dict[str, Tensor]:
        terms = self.terms(batch)
        optim.update_params(terms["total"])
        return {name: value.detach() for name, value in terms.items()}


def as_it_is(batch: dict, training: bool = False) -> dict:
    return batch


def bare(iterations: int) -> None:
    """The loop that everybody writes first."""
    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for data in training_loader(Faces(), 0, BATCH, iterations):
        loss = model.terms(data)["total"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def ours(iterations: int) -> None:
    """The runner with the hooks that every training has, and a schedule."""
    model = Model()
    wrapper = Wrapper(build_optimizer(model.parameters(), dict(type="Adam", lr=1e-3)), None, CPU, None)
    schedule = build_schedulers(scale_schedule(dict(type="CosineAnnealingLR"), 1.0, iterations), wrapper)
    hooks = [StopOnNaN(), Progress(50), SaveCheckpoint()]
    with tempfile.TemporaryDirectory() as folder:
        loader = training_loader(Faces(), 0, BATCH, iterations)
        loop = dict(type=TrainLoop, max_iters=iterations, degrade=as_it_is, prefetch=True)
        Runner(model, Path(folder), loader, loop, wrapper, schedule, hooks, CPU).train()


def seconds(loop, iterations: int) -> float:
    start = time.process_time()
    loop(iterations)
    return time.process_time() - start


def overhead() -> tuple[float, float]:
    """Milliseconds an iteration: of the bare loop, and what ours adds to it.

    Start-up is left out: the least time of a long run less the least time of a short one.
    """
    bare(SHORT), ours(SHORT)  # what is imported and allocated once
    least = dict.fromkeys([(loop, n) for loop in (bare, ours) for n in (SHORT, LONG)], math.inf)
    for _ in range(ROUNDS):
        for loop, n in least:
            least[loop, n] = min(least[loop, n], seconds(loop, n))
    cost = {loop: 1e3 * (least[loop, LONG] - least[loop, SHORT]) / (LONG - SHORT) for loop in (bare, ours)}
    return cost[bare], cost[ours] - cost[bare]


@pytest.mark.benchmark(group="600 iterations of a model that costs nothing")
@pytest.mark.parametrize("loop", [bare, ours])
def test_loop(benchmark, loop):
    benchmark.pedantic(loop, args=(LONG,), rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="overhead")
def test_overhead_is_less_than_that_of_mmengine(benchmark):
    alone, added = benchmark.pedantic(overhead, rounds=1)
    benchmark.extra_info.update(bare_ms=alone, added_ms=added)
    assert added < 0.5  # what MMEngine's own loop adds; the aim is 0.1


if __name__ == "__main__":
    print("bare loop {:.3f} ms an iteration, the runner adds {:.3f} ms".format(*overhead()))
