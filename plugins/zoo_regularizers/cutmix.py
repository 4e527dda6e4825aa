"""CutMix: a rectangle from another picture (Yun et al., 2019), by torchvision."""

from __future__ import annotations

from torch import Tensor
from torchvision.transforms import v2

from zoo_core.errors import RecipeError
from zoo_regularizers.mixing import Mixing


class CutMix(Mixing):
    """A rectangle of x_j in the place of that of x_i; targets by area, 1-λ ~ Beta(α, α) of it.

    `alpha`: α, above 0. `prob`: how often, in [0, 1]. Pictures (N, C, H, W). It makes other
    pictures in each step, so that activations of a frozen part cannot be kept. Raises RecipeError
    for what is no picture.
    """

    changes_pictures = True

    def __init__(self, alpha: float = 1.0, prob: float = 0.5) -> None:
        super().__init__(alpha, prob)

    def mix(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        if x.ndim != 4:
            raise RecipeError(
                f"cutmix wants pictures (N, C, H, W), and the batch has shape {tuple(x.shape)}.",
                hint="Take mixup.",
            )
        return v2.CutMix(alpha=self.alpha, num_classes=self.classes)(x, y)
