"""What regularizers that mix pictures have in common: how often, how many classes, targets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from zoo_core.regularize import Regularizer, a_share, above_zero


class Mixing(Regularizer):
    """Mixes a batch with itself, one place further on, with a probability.

    `alpha`: λ ~ Beta(α, α), above 0. `prob`: how often a batch is mixed, in [0, 1]. Targets become
    shares of classes (N, C). Of several in a stack, the first that draws mixes, and the others
    leave the batch alone. What is random comes from torch's generator of the host.
    """

    def __init__(self, alpha: float, prob: float) -> None:
        super().__init__()
        above_zero(alpha=alpha)
        if prob != 1:
            a_share(prob=prob)
        self.alpha, self.prob = alpha, prob

    def attach(self, model: nn.Module, **given: Any) -> None:
        super().attach(model, **given)
        self.classes = classes_of(self.model)

    def batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        mixed = self.stack is not None and self.stack.mixed
        if mixed or torch.rand(()).item() >= self.prob:
            return x, y
        if self.stack is not None:
            self.stack.mixed = True
        x, y = self.mix(x, y)
        return x, y.to(x.dtype)

    def mix(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The batch, mixed."""
        raise NotImplementedError

    def draw(self) -> float:
        """λ ~ Beta(α, α)."""
        alpha = torch.tensor(float(self.alpha))
        return torch.distributions.Beta(alpha, alpha).sample().item()


def blend(x: Tensor, share: float, count: int | None = None) -> Tensor:
    """λ·x_i + (1-λ)·x_{i-1} along the first dimension, in a circle of `count` (all by default).

    `x`: (N, ...), N a multiple of `count`. `share`: λ, in [0, 1].
    """
    circles = x.unflatten(0, (-1, count or len(x)))
    return torch.lerp(circles.roll(1, 1), circles, share).flatten(0, 1)


def shares(y: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Targets as shares of classes (N, C)."""
    return (one_hot(y, classes) if y.ndim == 1 else y).to(dtype)


def classes_of(model: nn.Module) -> int:
    """How many scores a model gives. Raises ValueError where nothing says so."""
    known = getattr(model, "num_outputs", None) or getattr(
        getattr(model, "config", None), "num_labels", None
    )
    if isinstance(known, int):
        return known
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if not layers:
        raise ValueError("the model has no linear layer or convolution that gives scores")
    last = layers[-1]
    return last.out_features if isinstance(last, nn.Linear) else last.out_channels
