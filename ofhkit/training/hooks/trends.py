"""What the averaged losses say of a training: it diverges, stands still, or one side of the game has won."""

from __future__ import annotations

import math
from collections.abc import Mapping

_WON, _ROUNDS = 0.99, 3  # share of faces judged rightly; looks in a row before it is said
_DIVERGED = 2.0  # times the best loss so far
_PATIENCE, _GAIN = 0.25, 0.01  # share of the step without a gain of that share


class Trends:
    """Look at each line of averaged losses and remark, once a kind, on what a person should know.

    Args:
        iterations: of the whole step.

    >>> trends = Trends(100)
    >>> trends.look(10, {'total': 1.0}), trends.look(20, {'total': 0.5})
    ([], [])
    >>> trends.look(30, {'total': 1.2})
    ['total 1.2 is more than 2 times its best, 0.5 at iteration 20: it may be diverging; try a lower learning rate']
    """

    def __init__(self, iterations: int):
        self.patience = _PATIENCE * iterations
        self.best, self.best_at = math.inf, 0
        self.won = self.fooled = 0
        self.said: set[str] = set()

    def look(self, done: int, losses: Mapping[str, float]) -> list[str]:
        """Return the remarks on the losses, averaged since the last look, after ``done`` iterations."""
        remarks = {**self._course(done, losses.get("total")), **self._game(losses)}
        new = [text for kind, text in remarks.items() if kind not in self.said]
        self.said |= set(remarks)
        return new

    def _course(self, done: int, total: float | None) -> dict[str, str]:
        if total is None:
            return {}
        if total < self.best - _GAIN * abs(self.best) or self.best_at == 0:
            self.best, self.best_at = total, done
            self.said -= {"plateau", "divergence"}
        best = f"{self.best:.4g} at iteration {self.best_at}"
        if total > _DIVERGED * self.best > 0:
            text = f"total {total:.4g} is more than {_DIVERGED:g} times its best, {best}: it may be diverging"
            return {"divergence": f"{text}; try a lower learning rate"}
        if done - self.best_at >= self.patience:
            return {"plateau": f"total has not fallen by {_GAIN:.0%} since its best, {best}: a plateau"}
        return {}

    def _game(self, losses: Mapping[str, float]) -> dict[str, str]:
        if "d_real_right" not in losses:
            return {}
        real, fake = losses["d_real_right"], losses["d_fake_right"]
        self.won = self.won + 1 if min(real, fake) >= _WON else 0
        self.fooled = self.fooled + 1 if max(real, fake) <= 1 - _WON else 0
        share = f"{real:.0%} of real and {fake:.0%} of hallucinated faces"
        if self.won == _ROUNDS:
            return {"won": f"the discriminator is right on {share}: its gradient says little; slow it or weigh it less"}
        if self.fooled == _ROUNDS:
            return {"fooled": f"the discriminator is right on {share} only: it has lost; raise its learning rate"}
        return {}
