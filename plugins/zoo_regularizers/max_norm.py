"""Max-norm: a bound on the weights that feed a unit (Hinton et al., 2012)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from zoo_core.regularize import above_zero
from zoo_regularizers.on_weights import OnWeights
from zoo_regularizers.rows import rows_of


class MaxNorm(OnWeights):
    """w_row ← w_row·min(1, c/‖w_row‖) after each step, over rows of two and more dimensions.

    `bound`: c, above 0. A row is a filter of a convolution, or what feeds a unit of a linear layer.
    """

    def __init__(self, bound: float = 3.0, **common: Any) -> None:
        super().__init__(**common)
        above_zero(bound=bound)
        self.bound = bound

    def attach(self, model: nn.Module, **given: Any) -> None:
        super().attach(model, **given)
        self.rows = rows_of(self.decayed.values())

    @torch.no_grad()
    def weights(self) -> None:
        for rows in self.rows:
            rows.scale_((self.bound / rows.norms()).clamp(max=1))
