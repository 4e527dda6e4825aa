"""CutMix (Yun et al., 2019): a rectangle of each picture comes from another one."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torchvision.transforms import v2

from zoo_regularizers.mixing import Mixing, pictures


class CutMix(Mixing):
    """Puts a rectangle of the picture before into each picture, and mixes targets by its area.

    The rectangle has a share 1-λ of the area, λ ~ Beta(α, α), less what is over the edge;
    t ← λ·tᵢ + (1-λ)·tᵢ₋₁ with the λ that is left. One rectangle a step. `alpha`: α, above 0.
    `prob`: how often a step is mixed, in [0, 1]. Pictures (N, C, H, W); targets (N,) or (N, C)
    become (N, C). On their device; λ is drawn on the CPU. https://arxiv.org/abs/1905.04899

    Raises ValueError for a bad number, or a model without a classifier, and RecipeError for inputs
    that are no pictures.
    """

    changes_pictures = True

    def __init__(self, alpha: float = 1.0, prob: float = 0.5, **common: Any) -> None:
        super().__init__(alpha, prob, **common)
        self.transform = v2.CutMix(alpha=alpha)

    def mix(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.transform(pictures(self, x), y)
