"""L2: weight decay as a penalty."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_core.regularize import Regularizer


class L2(Regularizer):
    """λΣw² over weights of two and more dimensions: adds 2λw to their gradients."""

    def __init__(self, strength: float = 1e-4) -> None:
        if not strength >= 0:
            raise ValueError(f"strength must be 0 or more, not {strength}")
        self.strength = strength

    def gradients(self) -> None:
        pairs = [(w.grad, w.detach()) for w in self.decayed.values() if w.grad is not None]
        if pairs:
            gradients, weights = [g for g, _ in pairs], [w for _, w in pairs]
            torch._foreach_add_(gradients, weights, alpha=2 * self.strength)

    def penalty(self) -> Tensor:
        norms = torch._foreach_norm([w.detach() for w in self.decayed.values()])
        return self.strength * sum((norm**2 for norm in norms), start=super().penalty())
