"""Gradient clipping: no step is larger than a bound (Pascanu, Mikolov and Bengio, 2013)."""

from __future__ import annotations

from typing import Any

from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from zoo_core.regularize import above_zero, at_least_zero
from zoo_regularizers.on_weights import OnTrained


class GradientClip(OnTrained):
    """g ← g·min(1, norm/‖g‖) over all gradients together; or each number to ±`value`.

    `norm`: above 0. `value`: 0 (by norm), or the bound of each number. Put it last in a stack, so
    that penalties are in what is clipped.
    """

    def __init__(self, norm: float = 1.0, value: float = 0.0, **common: Any) -> None:
        super().__init__(**common)
        above_zero(norm=norm)
        at_least_zero(value=value)
        self.norm, self.value = norm, value

    def gradients(self) -> None:
        if self.value:
            clip_grad_value_(self.trained.values(), self.value)
        else:
            clip_grad_norm_(self.trained.values(), self.norm)
