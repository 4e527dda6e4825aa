"""Confidence penalty: scores that are less sure of themselves (Pereyra et al., 2017)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zoo_core.regularize import Regularizer, at_least_zero


def entropy(outputs: Tensor) -> Tensor:
    """H(p) = -Σ p·log p of the softmax p of scores (N, C), in float32 at least; the mean over N."""
    wide = outputs.float() if outputs.itemsize < 4 else outputs
    log_p = wide.log_softmax(1)
    return -(log_p.exp() * log_p).sum(1).mean()


class ConfidencePenalty(Regularizer):
    """-β·H(p) in the loss: a low entropy of the scores costs. `strength`: β, 0 or more."""

    def __init__(self, strength: float = 0.1, **common: Any) -> None:
        super().__init__(**common)
        at_least_zero(strength=strength)
        self.strength = strength

    def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        return loss - self.now(self.strength) * entropy(outputs)
