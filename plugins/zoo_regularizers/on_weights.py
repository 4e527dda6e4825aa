"""What regularizers of weights have in common: that some train, and how fast."""

from __future__ import annotations

from typing import Any

from torch import nn

from zoo_core.regularize import Regularizer
from zoo_regularizers.rates import Rates


class OnTrained(Regularizer):
    """Acts on all that trains. `attach()` raises RecipeError where nothing does."""

    def attach(self, model: nn.Module, **given: Any) -> None:
        super().attach(model, **given)
        if not self.trained:
            raise self.nothing_to_act_on("parameter trains")


class OnWeights(Regularizer):
    """Acts on weights of two and more dimensions, not on biases and norms.

    `attach()` raises RecipeError where none trains.
    """

    def attach(self, model: nn.Module, **given: Any) -> None:
        super().attach(model, **given)
        if not self.decayed:
            raise self.nothing_to_act_on("weight trains")


class Proximal(OnWeights):
    """Acts after each step, as far as the learning rate of each weight goes."""

    def attach(self, model: nn.Module, *, optimizer: Any = None, **given: Any) -> None:
        super().attach(model, optimizer=optimizer, **given)
        self.rates = Rates(self.decayed, optimizer)
        if not self.rates.groups:
            raise self.nothing_to_act_on("weight is in the optimizer")
