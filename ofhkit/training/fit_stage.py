"""The stage of networks that are fitted in one pass over the faces instead of being optimised."""

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from ofhkit.config.check import ROLE_OF_KEY
from ofhkit.errors import OfhkitError
from ofhkit.registry import DEGRADATIONS, PIPELINE, STAGES
from ofhkit.training.cross_fit import each_face
from ofhkit.training.stage import Context, Stage


@STAGES.register_module()
class FitStage(Stage):
    """Instead of optimisation, for networks that are fitted in one pass (``partial_fit``, ``finalise``).

    Every training face is seen once: clean, neither flipped nor occluded. ``--budget`` does not scale it.

    Args:
        trains: ``upsampler`` or ``inpainter``, whose fit methods share.
        batch_size: faces at a time; no result depends on it.
    """

    main_only = True

    def __init__(self, trains: Literal["upsampler", "inpainter"] = "upsampler", batch_size: int = 256):
        super().__init__(iterations=1, batch_size=batch_size)
        if trains not in PIPELINE:
            raise OfhkitError(f"stage FitStage: trains one of {', '.join(PIPELINE)}, got {trains!r}", key="trains")
        self.trains, self.shared = trains, trains == "inpainter"

    def needed(self, model: Mapping[str, Any]) -> bool:
        part = model.get(self.trains)
        return part is not None and hasattr(ROLE_OF_KEY[self.trains].build(part), "partial_fit")

    def spec(self, context: Context) -> dict[str, Any]:
        covered = ("stage", "seed", "data", "degradation", self.trains)
        return {key: value for key, value in super().spec(context).items() if key in covered}

    def build(self, context: Context) -> None:
        setattr(self, self.trains, ROLE_OF_KEY[self.trains].build(context.model[self.trains]))

    def fit(self, context: Context) -> nn.Module:
        """Show the network every face once, and return it."""
        self.build(context)
        degrade = DEGRADATIONS.build(context.degradation, seed=context.seed).to(context.device)
        faces, network = context.train, self.network.to(context.device)
        for batch in each_face(faces, degrade, self.batch_size, f"[{self.name}] faces"):
            self.step(batch)
        network.finalise()
        return network

    def step(self, batch: dict[str, Tensor], optim: Any = None) -> dict[str, Tensor]:
        self.network.partial_fit(batch["lr_gt"], batch["hr"])
        return {}

    def predict(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.trains == "inpainter":
            return {"lr_filled": self.network(batch["lr"], batch["mask"])}
        return {"sr": self.network(batch["lr_gt"])}
