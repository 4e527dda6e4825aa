"""L1: the lasso (Tibshirani, 1996), by its proximal step, so that zeros are true zeros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo_core.regularize import at_least_zero
from zoo_regularizers.on_weights import Proximal
from zoo_regularizers.pieces import pieces
from zoo_regularizers.sums import sum_of_sizes


def soft_threshold_(
    weights: Sequence[Tensor], threshold: float | Tensor, taken: Tensor | None = None
) -> None:
    """sign(w)·max(|w|-t, 0) in place: what a proximal step for t·Σ|w| does.

    `weights`: of any shapes, one device and dtype each. `threshold`: t, 0 or more, a number or a
    scalar on their device. `taken`: None, or a scalar on their device; at 0 nothing moves.

    >>> w = torch.tensor([-3.0, -0.5, 0.0, 2.0])
    >>> soft_threshold_([w], 1.0)
    >>> w == torch.tensor([-2.0, 0.0, 0.0, 1.0])
    tensor([True, True, True, True])
    """
    for (piece,) in pieces(weights, parts=2):
        if len(piece) == 1 and taken is None and not isinstance(threshold, Tensor):
            torch._C._nn.softshrink(piece[0], threshold, out=piece[0])  # type: ignore[call-arg]
            continue
        # What comes off is the weight itself where it is small: w - w is a true zero.
        if isinstance(threshold, Tensor):
            off = [torch.clamp(w, -threshold.to(w.dtype), threshold.to(w.dtype)) for w in piece]
        else:
            off = list(torch._foreach_clamp_max(piece, threshold))
            torch._foreach_clamp_min_(off, -threshold)
        if taken is not None:
            torch._foreach_mul_(off, taken)
        torch._foreach_sub_(piece, off)


class L1(Proximal):
    """λΣ|w| over weights of two and more dimensions: soft(w, lr·λ) after each step.

    `strength`: λ, 0 or more. `lr` is the weight's learning rate, 1 without an optimizer.
    """

    def __init__(self, strength: float = 1e-5, **common: Any) -> None:
        super().__init__(**common)
        at_least_zero(strength=strength)
        self.strength = strength

    @torch.no_grad()
    def weights(self) -> None:
        strength, taken = self.now(self.strength), self.step_taken
        for weights, lr in self.rates.now():
            soft_threshold_(weights, lr * strength, taken)

    def penalty(self) -> Tensor:
        return self.now(self.strength) * sum_of_sizes(self.decayed.values())
