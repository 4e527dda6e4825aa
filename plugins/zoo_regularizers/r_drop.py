"""R-Drop: two passes with different dropout agree (Wu et al., 2021)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div
from torch.nn.modules.dropout import _DropoutNd

from zoo_core.regularize import Regularizer, at_least_zero

RANDOM = ("dropout", "dropblock", "stochastic-depth")


def divergence(one: Tensor, other: Tensor) -> Tensor:
    """½(KL(p‖q) + KL(q‖p)) of the softmaxes of scores (N, C); the mean over N, float32 at least."""
    wide = torch.promote_types(one.dtype, torch.float32)
    p, q = one.to(wide).log_softmax(1), other.to(wide).log_softmax(1)
    both = [kl_div(a, b, log_target=True, reduction="batchmean") for a, b in ((p, q), (q, p))]
    return (both[0] + both[1]) / 2


class RDrop(Regularizer):
    """α·½(KL(p₁‖p₂) + KL(p₂‖p₁)) in the loss, p₁ and p₂ from two passes of the same pictures.

    `strength`: α, 0 or more. Both passes go through the model at once: the batch is repeated, so a
    step takes twice the memory. Raises RecipeError in the first step where nothing that trains is
    random.
    """

    def __init__(self, strength: float = 1.0, **common: Any) -> None:
        super().__init__(**common)
        at_least_zero(strength=strength)
        self.strength = strength

    def attach(self, model: nn.Module, **given: Any) -> None:
        super().attach(model, **given)
        self._checked = False

    def batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return torch.cat([x, x]), torch.cat([y, y])

    def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        one, other = outputs.chunk(2)
        return loss + self.now(self.strength) * divergence(one, other)

    def passes(self, closure: Callable[[], Tensor]) -> Tensor:
        """Two passes in one; by now every other regularizer is in the model."""
        if not self._checked:
            self._check()
        return closure()

    def _check(self) -> None:
        others = self.stack.members if self.stack else ()
        inserted = any(member.name in RANDOM for member in others)
        if not inserted and not any(map(_is_random, self.model.modules())):
            raise self.nothing_to_act_on(
                "dropout that trains, so that both passes are equal", 'Add "dropout" to the list.'
            )
        self._checked = True


def _is_random(module: nn.Module) -> bool:
    if not module.training:
        return False
    if isinstance(module, _DropoutNd):
        return module.p > 0
    # timm's DropPath and DropBlock, and the dropout that its models do by function
    rates = ("drop_prob", "drop_rate")
    return any(isinstance(r := getattr(module, rate, 0), float) and r > 0 for rate in rates)
