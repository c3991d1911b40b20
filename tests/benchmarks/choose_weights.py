"""Short trainings with several weights of losses, scored on validation faces."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.curves import read_curve
from ofhkit.config import from_json
from ofhkit.data.sampler import first
from ofhkit.errors import OfhkitError
from ofhkit.evaluation.evaluate import evaluate_all
from ofhkit.registry import DATASETS, DEGRADATIONS
from ofhkit.training.curriculum import Options, train
from ofhkit.zoo import load_model
from ofhkit.zoo.runs import CONFIG

__all__ = ["choose_weights", "parse_weights"]

_METRICS = (dict(type="PSNR"), dict(type="LPIPS"), dict(type="NRMSE"))
_GAME = ("real right", "fake right", "share")


def parse_weights(text: str) -> tuple[str, list[float]]:
    """Read ``LOSS=W,W``.

    >>> parse_weights('structure=0,0.2')
    ('structure', [0.0, 0.2])
    """
    name, _, values = text.partition("=")
    try:
        return name, [float(value) for value in values.split(",")]
    except ValueError:
        raise OfhkitError(f"--weight {text}: say it as LOSS=NUMBER,NUMBER") from None


def choose_weights(
    config: Path,
    combinations: Sequence[Mapping[str, float]],
    options: Options,
    data_root: str | Path | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    limit: int = 100,
) -> str:
    """Train ``config`` once for each combination of ``model.losses.NAME.weight`` and score it on validation faces.

    Returns:
        A table in Markdown: weights, scores, and what the discriminator did since the last validation but one.
    """
    rows = []
    for weights in combinations:
        changed = {f"model.losses.{name}.weight": value for name, value in weights.items()}
        file = train(config, options, data_root, {**(cfg_options or {}), **changed, "evaluation.after_training": 0})
        settings, model = from_json(file.with_name(CONFIG)), load_model(file, options.device)
        faces = first(DATASETS.build({**settings.data.dataset, "split": "val"}), limit)
        degrade = DEGRADATIONS.build(settings.data.degradation)

        def predict(batch: dict, model: Any = model) -> dict:
            return model.predict(batch["lr"], batch["mask"])

        (scores,) = evaluate_all([predict], degrade, faces, _METRICS)
        game = read_curve(file.parent / "upsampler")[-1]
        values = [scores.means["PSNR"], scores.means["LPIPS"], scores.means["NRMSE"], *map(game.get, _GAME)]
        rows.append([*weights.values(), *values])
    titles = [*combinations[0], "PSNR (dB)", "LPIPS", "NRMSE (%)", *_GAME]
    lines = [titles, ["---:"] * len(titles), *([f"{v:.4g}" if v is not None else "" for v in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
