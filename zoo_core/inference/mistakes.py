"""What a classifier gets wrong: its worst mistakes, and the classes that it takes for others.

Pure functions on scores (N, C) before softmax or sigmoid, and targets: class numbers (N,), or 0 and
1 as floats (N, C) where a picture can have several classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Mistake:
    """One picture that was taken for something else.

    `true` and `said`: class numbers with the probability that the model gives each, in [0, 1].
    """

    index: int
    true: list[tuple[int, float]]
    said: list[tuple[int, float]]


@dataclass(frozen=True)
class Confusion:
    """`count` of the `total` pictures of class `true` were called `said`."""

    true: int
    said: int
    count: int
    total: int


def worst_mistakes(scores: Tensor, targets: Tensor, most: int) -> list[Mistake]:
    """Up to `most` of the wrong pictures, those with the highest loss first.

    >>> import torch
    >>> scores = torch.tensor([[9.0, 0.0], [1.0, 0.0], [0.0, 4.0]])
    >>> [mistake.index for mistake in worst_mistakes(scores, torch.tensor([0, 1, 0]), 5)]
    [2, 1]
    """
    if targets.ndim == 2:
        wrong = ((scores > 0) != (targets > 0)).any(1)
        each = functional.binary_cross_entropy_with_logits(scores, targets, reduction="none")
        losses = each.mean(1)
    else:
        wrong = scores.argmax(1) != targets
        losses = functional.cross_entropy(scores, targets, reduction="none")
    indices = wrong.nonzero().flatten()
    order = losses[indices].argsort(descending=True, stable=True)
    return [_mistake(i, scores[i], targets[i]) for i in indices[order[:most]].tolist()]


def _mistake(index: int, scores: Tensor, target: Tensor) -> Mistake:
    if target.ndim == 1:
        probabilities = scores.sigmoid()
        true, said = (own.nonzero().flatten().tolist() for own in (target > 0, scores > 0))
    else:
        probabilities = scores.softmax(0)
        true, said = [int(target)], [int(scores.argmax())]
    with_probability = [[(i, probabilities[i].item()) for i in own] for own in (true, said)]
    return Mistake(index, *with_probability)


def mistakes_by_pair(
    scores: Tensor, targets: Tensor, pairs: int, each: int
) -> dict[tuple[int, int], list[int]]:
    """By (true class, what it is called): up to `each` of these pictures, the highest loss first.

    `targets`: class numbers (N,). Up to so many `pairs`, those with most pictures first.

    >>> import torch
    >>> scores = torch.tensor([[9.0, 0.0], [1.0, 0.0], [0.0, 4.0], [0.0, 5.0]])
    >>> mistakes_by_pair(scores, torch.tensor([0, 1, 0, 0]), 5, 2)
    {(0, 1): [3, 2], (1, 0): [1]}
    """
    said = scores.argmax(1)
    losses = functional.cross_entropy(scores, targets, reduction="none")
    found: dict[tuple[int, int], list[int]] = {}
    for pair in most_confused(scores, targets, pairs):
        here = ((targets == pair.true) & (said == pair.said)).nonzero().flatten()
        order = losses[here].argsort(descending=True, stable=True)[:each]
        found[pair.true, pair.said] = here[order].tolist()
    return found


def most_confused(scores: Tensor, targets: Tensor, most: int) -> list[Confusion]:
    """Up to `most` pairs of classes by how often the first is called the second, often first.

    `targets`: class numbers (N,).

    >>> import torch
    >>> scores = torch.tensor([[9.0, 0.0], [1.0, 0.0], [0.0, 4.0]])
    >>> most_confused(scores, torch.tensor([0, 1, 0]), 1)
    [Confusion(true=0, said=1, count=1, total=2)]
    """
    classes = scores.shape[1]
    said = scores.argmax(1)
    wrong = said != targets
    cells, counts = (targets[wrong] * classes + said[wrong]).unique(return_counts=True)
    totals = targets.bincount(minlength=classes)
    order = counts.argsort(descending=True, stable=True)[:most]
    return [
        Confusion(cell // classes, cell % classes, count, int(totals[cell // classes]))
        for cell, count in zip(cells[order].tolist(), counts[order].tolist(), strict=True)
    ]
