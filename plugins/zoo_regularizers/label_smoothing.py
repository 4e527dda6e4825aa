"""Label smoothing (Szegedy et al., 2016): no target is quite certain."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from zoo_core.regularize import Regularizer, Schedule, a_share


def smoothing(outputs: Tensor, targets: Tensor, share: float) -> Tensor:
    """What smoothing adds to the cross-entropy: that of smoothed targets less that of plain ones.

    `outputs`: scores (N, C). `targets`: classes (N,), or shares of classes (N, C). `share`: ε, in
    [0, 1). A scalar on their device, in float32 at least.
    """
    with torch.autocast(outputs.device.type, enabled=False):
        scores = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
        smooth = functional.cross_entropy(scores, targets, label_smoothing=share)
        return smooth - functional.cross_entropy(scores, targets)


class LabelSmoothing(Regularizer):
    """Makes the target (1-ε) of the class and ε of all classes alike.

    t ← (1-ε)·t + ε/C, as a difference that is added to the loss: so it goes with any other term,
    in any order. `share`: ε, in [0, 1). Outputs (N, C), targets (N,) or (N, C), on their device.
    https://arxiv.org/abs/1512.00567

    Raises ValueError for a bad number.
    """

    one_class = True

    def __init__(
        self, share: float = 0.1, *, schedule: str | Schedule = "constant", steps: int = 0
    ) -> None:
        super().__init__(schedule=schedule, steps=steps)
        a_share(share=share)
        self.share = share

    def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        return loss + smoothing(outputs, targets, self.now(self.share))
