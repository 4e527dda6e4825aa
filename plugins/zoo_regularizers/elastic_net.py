"""Elastic net: lasso and ridge together (Zou and Hastie, 2005), by its proximal step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo_core.regularize import at_least_zero
from zoo_regularizers.l1 import soft_threshold_
from zoo_regularizers.on_weights import Proximal
from zoo_regularizers.pieces import pieces
from zoo_regularizers.sums import sum_of_sizes, sum_of_squares


class ElasticNet(Proximal):
    """λ₁Σ|w| + λ₂Σw² over weights of two and more dimensions.

    soft(w, lr·λ₁) / (1 + 2·lr·λ₂) after each step. `l1`, `l2`: λ₁ and λ₂, 0 or more. `lr` is the
    weight's learning rate, 1 without an optimizer.
    """

    def __init__(self, l1: float = 1e-5, l2: float = 1e-4, **common: Any) -> None:
        super().__init__(**common)
        at_least_zero(l1=l1, l2=l2)
        self.l1, self.l2 = l1, l2

    @torch.no_grad()
    def weights(self) -> None:
        l1, l2 = self.now(self.l1), self.now(self.l2)
        taken = self.step_taken
        for weights, lr in self.rates.now():
            soft_threshold_(weights, lr * l1, taken)
            divisor = 1 + 2 * lr * l2 * (1 if taken is None else taken)
            for (piece,) in pieces(weights, parts=1):
                torch._foreach_div_(piece, divisor)

    def penalty(self) -> Tensor:
        weights = list(self.decayed.values())
        sizes, squares = sum_of_sizes(weights), sum_of_squares(weights)
        return self.now(self.l1) * sizes + self.now(self.l2) * squares
