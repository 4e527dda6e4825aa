"""Early stopping (Prechelt, 1998): stop when validation gets no better, and restore the best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from zoo_core.regularize import Regularizer, Verdict
from zoo_core.snapshot import Snapshot


class EarlyStopping(Regularizer):
    """Says STOP after `patience` validations in a row that bring no improvement.

    `patience=1` is the textbook's rule.
    """

    def __init__(
        self,
        patience: int = 5,
        min_delta: float = 1e-4,
        monitor: str = "loss",
        restore: bool = True,
    ) -> None:
        if patience < 1:
            raise ValueError(f"patience must be 1 or more, not {patience}")
        if monitor not in ("loss", "accuracy"):
            raise ValueError(f"monitor is loss or accuracy, not {monitor}")
        self.patience, self.min_delta = patience, min_delta
        self.monitor, self.restore = monitor, restore
        self.best, self.waited = math.inf, 0
        self._snapshot: Snapshot | None = None

    def validation(self, metrics: Mapping[str, float]) -> Verdict:
        value = metrics[self.monitor] if self.monitor == "loss" else -metrics[self.monitor]
        margin = 0.0 if math.isinf(self.best) else self.min_delta * abs(self.best)
        if value < self.best - margin:
            self.best, self.waited = value, 0
            if self.restore:
                self._snapshot = Snapshot(self.model)
            return Verdict.IMPROVED
        self.waited += 1
        return Verdict.STOP if self.waited >= self.patience else Verdict.CONTINUE

    def detach(self) -> None:
        if self._snapshot is not None:
            self._snapshot.restore(self.model)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]
