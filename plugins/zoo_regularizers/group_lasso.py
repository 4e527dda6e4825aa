"""Group lasso: filters and units become zero as a whole (Yuan and Lin, 2006)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.regularize import at_least_zero
from zoo_core.transfer.sharded import whole
from zoo_regularizers.on_weights import Proximal
from zoo_regularizers.rows import rows_of


class GroupLasso(Proximal):
    """λΣ√d·‖w_g‖ over rows w_g of d weights: w_g ← w_g·max(0, 1 - lr·λ√d/‖w_g‖) after each step.

    `strength`: λ, 0 or more. A row is a filter of a convolution, or what feeds a unit of a linear
    layer. `lr` is the weight's learning rate, 1 without an optimizer.
    """

    def __init__(self, strength: float = 1e-4, **common: Any) -> None:
        super().__init__(**common)
        at_least_zero(strength=strength)
        self.strength = strength

    def attach(self, model: nn.Module, **given: Any) -> None:
        super().attach(model, **given)
        self.rows = [rows_of(weights) for _, weights in self.rates.groups]

    @torch.no_grad()
    def weights(self) -> None:
        strength, taken = self.now(self.strength), self.step_taken
        for alike, (_, lr) in zip(self.rows, self.rates.now(), strict=True):
            for rows in alike:
                threshold = lr * strength * rows.widths.sqrt()
                threshold = threshold if taken is None else threshold * taken
                # A row of zeros has no direction: 0·(1 - t/0) would be no number.
                norms = rows.norms()
                factors = (1 - threshold / norms).clamp(min=0)
                rows.scale_(torch.where(norms > 0, factors, 1))

    def penalty(self) -> Tensor:
        sums = [
            whole((rows.widths.sqrt() * rows.norms()).sum())
            for rows in rows_of(self.decayed.values())
        ]
        return self.now(self.strength) * torch.stack(sums).sum()
