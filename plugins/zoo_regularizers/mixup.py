"""Mixup (Zhang et al., 2018): pictures between two pictures."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torchvision.transforms import v2

from zoo_regularizers.mixing import Mixing, pictures


class Mixup(Mixing):
    """Mixes each picture of a batch with the one before it, and their targets alike.

    x ← λ·xᵢ + (1-λ)·xᵢ₋₁ and t ← λ·tᵢ + (1-λ)·tᵢ₋₁ with one λ ~ Beta(α, α) a step. `alpha`: α,
    above 0. `prob`: how often a step is mixed, in [0, 1]. Pictures (N, C, H, W); targets (N,) or
    (N, C) become (N, C). On their device; λ is drawn on the CPU. https://arxiv.org/abs/1710.09412

    Raises ValueError for a bad number, or a model without a classifier, and RecipeError for inputs
    that are no pictures.
    """

    changes_pictures = True

    def __init__(self, alpha: float = 0.2, prob: float = 0.5, **common: Any) -> None:
        super().__init__(alpha, prob, **common)
        self.transform = v2.MixUp(alpha=alpha)

    def mix(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.transform(pictures(self, x), y)
