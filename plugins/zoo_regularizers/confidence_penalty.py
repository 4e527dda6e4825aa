"""Confidence penalty (Pereyra et al., 2017): predictions that are too sure cost something."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_core.regularize import Regularizer, Schedule, at_least_zero


def entropy(outputs: Tensor) -> Tensor:
    """H(p) = -Σ p·log p of p = softmax(outputs), as a mean over the batch; a scalar.

    `outputs`: scores (N, C), on any device. In float32 at least.
    """
    with torch.autocast(outputs.device.type, enabled=False):
        wide = outputs.to(torch.promote_types(outputs.dtype, torch.float32))
        logs = wide.log_softmax(1)
        return -(logs.exp() * logs).sum(1).mean()


class ConfidencePenalty(Regularizer):
    """Takes β times the entropy of the predictions off the loss.

    loss - β·H(p), H(p) = -Σ p·log p as a mean over the batch. `beta`: β, 0 or more. Outputs (N, C),
    on their device. https://arxiv.org/abs/1701.06548

    Raises ValueError for a bad number.
    """

    one_class = True

    def __init__(
        self, beta: float = 0.1, *, schedule: str | Schedule = "constant", steps: int = 0
    ) -> None:
        super().__init__(schedule=schedule, steps=steps)
        at_least_zero(beta=beta)
        self.beta = beta

    def loss(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> Tensor:
        return loss - self.now(self.beta) * entropy(outputs)
