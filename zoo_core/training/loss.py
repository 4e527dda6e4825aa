"""The loss that is made small: log-loss of one class a picture, or of several labels."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from zoo_core.data.balance import class_weights
from zoo_core.data.pictures import Pictures


class Loss:
    """Mean log-loss of scores (N, C), in nats: of one class a picture, or of each yes and no.

    `weighted`: pictures of rare classes count more, so that all classes count alike.
    """

    def __init__(self, pictures: Pictures, outputs: int, *, weighted: bool) -> None:
        self.multilabel = pictures.multilabel
        self.weight: Tensor | None = None
        if weighted:
            counts = pictures.class_counts()
            self.weight = class_weights(counts + [0] * (outputs - len(counts)))

    def __call__(self, scores: Tensor, y: Tensor) -> Tensor:
        """`y`: classes (N,), shares of classes (N, C), or 0 and 1 for each of several labels."""
        if self.multilabel:
            return functional.binary_cross_entropy_with_logits(scores, y)
        if self.weight is None:
            return functional.cross_entropy(scores, y)
        self.weight = self.weight.to(scores.device, scores.dtype)
        # The mean over pictures, not over weights: so pieces of a batch add up to the batch.
        return functional.cross_entropy(scores, y, weight=self.weight, reduction="sum") / len(y)
