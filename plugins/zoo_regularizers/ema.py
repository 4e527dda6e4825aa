"""An exponential moving average of the weights (Polyak and Juditsky, 1992)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo_core.regularize import a_share
from zoo_regularizers.averaging import Averaging


class EMA(Averaging):
    """m ← d·m + (1-d)·w after each step; m is what is validated, and what stays.

    `decay`: d, in [0, 1). `warmup`: while few steps t are done, d is (1+t)/(10+t) at most, so that
    the start is soon forgotten.
    """

    def __init__(self, decay: float = 0.999, warmup: bool = True) -> None:
        super().__init__()
        a_share(decay=decay)
        self.decay, self.warmup, self.step = decay, warmup, 0

    def weights(self) -> None:
        self.step += 1
        slow = (1 + self.step) / (10 + self.step) if self.warmup else 1.0
        self.add(1 - min(self.decay, slow), self.step_taken)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"step": self.step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.step = state["step"]
