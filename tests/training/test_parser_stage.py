"""The parser's own training: configuration, stage, and the score that watches it."""

from pathlib import Path

import torch

from ofhkit.config import load_config
from ofhkit.registry import DEGRADATIONS, METRICS
from ofhkit.training.curriculum import plan_stages
from ofhkit.training.stage import Context

CONFIG = Path(__file__).parents[2] / "configs" / "parser_synthetic.py"


def test_the_configured_stage_learns_to_parse():
    config = load_config(CONFIG)
    (stage,) = plan_stages(config).values()
    torch.manual_seed(0)
    stage.build(Context(config, train=None))
    degrade = DEGRADATIONS.build(config.data.degradation)
    hr = torch.full((2, 3, 128, 128), 60, dtype=torch.uint8)
    hr[:, :, 40:90, 30:100] = 220
    parsing = torch.zeros(2, 128, 128, dtype=torch.uint8)
    parsing[:, 40:90, 30:100] = 6  # a nose: the same label when mirrored
    batch = {"hr": hr, "parsing": parsing, "index": torch.arange(2)}
    optim = stage.optimizers(torch.device("cpu"), None)
    samples = (degrade({**batch, "sample_id": torch.arange(2 * i, 2 * i + 2)}, training=True) for i in range(12))
    losses = [stage.train().step(sample, optim)["total"].item() for sample in samples]
    assert losses[-1] < 0.85 * losses[0]
    (metric,) = (METRICS.build(m) for m in stage.metrics)
    shown = degrade(batch)
    metric.process(None, [{**shown, **stage.predict(shown)}])
    assert set(metric.evaluate(2)) == {"IoU", "IoU_parts"}
    assert stage.network is stage.parser
