"""Orthogonal weights, softly: filters that do not repeat one another (Bansal et al., 2018)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from zoo_core.regularize import at_least_zero
from zoo_core.transfer.sharded import parts_like, whole
from zoo_regularizers.on_weights import OnWeights
from zoo_regularizers.pieces import grouped, with_gradients


def orthogonality(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """‖WWᵀ-I‖² of each matrix W and its gradient 4(WWᵀ-I)W.

    `matrices`: (k, rows, columns). Where there are more rows than columns, they cannot all be
    orthogonal: then the columns are asked to be, by WᵀW.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    wide = matrices.mT if tall else matrices
    identity = torch.eye(wide.shape[1], device=wide.device, dtype=wide.dtype)
    excess = torch.baddbmm(identity.expand(len(wide), -1, -1), wide, wide.mT, beta=-1)
    gradient = 4 * torch.bmm(excess, wide)
    return excess.square().sum((1, 2)), gradient.mT if tall else gradient


class Orthogonal(OnWeights):
    """λΣ‖WWᵀ-I‖² over layers: adds 4λ(WWᵀ-I)W to gradients; W has a row for each filter or unit.

    `strength`: λ, 0 or more. Weights of one shape are multiplied together.
    """

    def __init__(self, strength: float = 1e-4, **common: Any) -> None:
        super().__init__(**common)
        at_least_zero(strength=strength)
        self.strength = strength

    @torch.no_grad()
    def gradients(self) -> None:
        strength = self.now(self.strength)
        pairs = zip(*with_gradients(self.decayed.values()), strict=True)
        for together in grouped(pairs, lambda pair: _shape(pair[1])):
            gradients = [gradient for gradient, _ in together]
            _, added = orthogonality(_matrices(weight for _, weight in together))
            alike = [
                parts_like(a.view(g.shape), g)
                for a, g in zip(added.unbind(), gradients, strict=True)
            ]
            torch._foreach_add_(gradients, alike, alpha=strength)

    @torch.no_grad()
    def penalty(self) -> Tensor:
        values = [
            orthogonality(_matrices(together))[0].sum()
            for together in grouped(self.decayed.values(), _shape)
        ]
        return self.now(self.strength) * torch.stack(values).sum()


def _matrices(weights: Iterable[Tensor]) -> Tensor:
    """Weights of one shape as matrices, (k, rows, columns); those in parts are put together."""
    return torch.stack([whole(weight).flatten(1) for weight in weights])


def _shape(weight: Tensor) -> object:
    return weight.shape, weight.dtype, weight.device
