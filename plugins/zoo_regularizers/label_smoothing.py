"""Label smoothing: targets that leave a little to every class (Szegedy et al., 2016)."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy

from zoo_core.regularize import Regularizer, a_share


def smoothing(outputs: Tensor, targets: Tensor, share: float) -> Tensor:
    """What smoothing by `share` adds to the cross-entropy: ε·(mean of -log p over classes - CE).

    `outputs`: scores (N, C). `targets`: classes (N,), or shares of classes (N, C). A scalar.
    """
    smooth = cross_entropy(outputs, targets, label_smoothing=share)
    return smooth - cross_entropy(outputs, targets)


class LabelSmoothing(Regularizer):
    """Targets of 1-ε for the class and ε for all classes alike.

    `share`: ε, in [0, 1). It adds a difference to the loss, so that it goes with other terms, and
    with mixed targets, in any order. Kornblith et al. (2021) found that features learnt with it
    transfer less well.
    """

    def __init__(self, share: float = 0.1, **common: Any) -> None:
        super().__init__(**common)
        a_share(share=share)
        self.share = share

    def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        return loss + smoothing(outputs, targets, self.now(self.share))
