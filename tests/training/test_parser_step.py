"""The parser's own training: configuration, step, and the score that watches it."""

from pathlib import Path

import torch

from ofhkit.config import load_config
from ofhkit.registry import METRICS
from ofhkit.training.curriculum import plan_steps
from ofhkit.training.recipes import Context

CONFIG = Path(__file__).parents[2] / "configs" / "parser_synthetic.py"


def test_the_configured_step_learns_to_parse():
    config = load_config(CONFIG)
    (step,) = plan_steps(config).values()
    context = Context(config, {"hash": "none", "num_train": 2}, seed=0)
    torch.manual_seed(0)
    model = step.build(context).train()
    hr = torch.full((2, 3, 128, 128), 60, dtype=torch.uint8)
    hr[:, :, 40:90, 30:100] = 220
    parsing = torch.zeros(2, 128, 128, dtype=torch.uint8)
    parsing[:, 40:90, 30:100] = 6  # a nose: the same label when mirrored
    batch = {"hr": hr, "parsing": parsing, "index": torch.arange(2)}
    optim = step.optim_wrapper(model, torch.device("cpu"), None)
    losses = [
        model.train_step({**batch, "draw": torch.arange(2 * i, 2 * i + 2)}, optim)["total"].item() for i in range(12)
    ]
    assert losses[-1] < 0.85 * losses[0]
    (metric,) = (METRICS.build(m) for m in step.metrics())
    metric.process(None, model.train().test_step(batch))
    assert set(metric.evaluate(2)) == {"IoU", "IoU_parts"}
    assert step.trained(model) is model.network
