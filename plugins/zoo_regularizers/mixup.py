"""Mixup: pictures and targets that lie between two (Zhang et al., 2018), by torchvision."""

from __future__ import annotations

from torch import Tensor
from torchvision.transforms import v2

from zoo_regularizers.mixing import Mixing


class Mixup(Mixing):
    """x ← λ·x_i + (1-λ)·x_j, and the targets alike, with λ ~ Beta(α, α) for a batch.

    `alpha`: α, above 0. `prob`: how often, in [0, 1]. Inputs of any shape (N, ...). It makes other
    pictures in each step, so that activations of a frozen part cannot be kept; manifold-mixup mixes
    those.
    """

    changes_pictures = True

    def __init__(self, alpha: float = 0.2, prob: float = 0.5) -> None:
        super().__init__(alpha, prob)

    def mix(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        transform = v2.MixUp(alpha=self.alpha, num_classes=self.classes)
        pictures = x if x.ndim == 4 else x.flatten(1)[:, :, None, None]  # all that it takes
        mixed, targets = transform(pictures, y)
        return mixed.view(x.shape), targets
