"""Adaptive gradient clipping (Brock, De, Smith and Simonyan, 2021), as timm has it."""

from __future__ import annotations

from typing import Any

from timm.utils.agc import adaptive_clip_grad

from zoo_core.regularize import above_zero
from zoo_regularizers.on_weights import OnTrained


class AGC(OnTrained):
    """g ← g·min(1, clip·max(‖w‖, eps)/‖g‖) for each row of a weight, and each bias.

    `clip`, `eps`: above 0. The paper leaves the last layer out: `exclude="head"`.
    """

    def __init__(self, clip: float = 0.01, eps: float = 1e-3, **common: Any) -> None:
        super().__init__(**common)
        above_zero(clip=clip, eps=eps)
        self.clip, self.eps = clip, eps

    def gradients(self) -> None:
        adaptive_clip_grad(self.trained.values(), clip_factor=self.clip, eps=self.eps)
