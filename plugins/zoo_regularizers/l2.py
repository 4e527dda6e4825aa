"""L2: weight decay as a penalty (Krogh and Hertz, 1991)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo_core.regularize import at_least_zero
from zoo_regularizers.on_weights import OnWeights
from zoo_regularizers.pieces import pieces, with_gradients
from zoo_regularizers.sums import sum_of_squares


class L2(OnWeights):
    """λΣw² over weights of two and more dimensions: adds 2λw to their gradients.

    `strength`: λ, 0 or more. With plain SGD it equals `weight_decay=2λ`.
    """

    def __init__(self, strength: float = 1e-4, **common: Any) -> None:
        super().__init__(**common)
        at_least_zero(strength=strength)
        self.strength = strength

    def gradients(self) -> None:
        strength = 2 * self.now(self.strength)
        for gradients, weights in pieces(*with_gradients(self.decayed.values()), parts=1):
            torch._foreach_add_(gradients, weights, alpha=strength)

    def penalty(self) -> Tensor:
        return self.now(self.strength) * sum_of_squares(self.decayed.values())
