"""Figures for classes of unequal size, where accuracy mostly tells of the largest.

Pure functions of class numbers and scores, defined as scikit-learn defines them.
"""

from __future__ import annotations

from torch import Tensor

UNEQUAL = 1.5  # the largest class has so many times the pictures of the smallest, or more


def are_unequal(targets: Tensor) -> bool:
    """Whether the classes that are there differ so much in size that accuracy misleads.

    >>> import torch
    >>> are_unequal(torch.tensor([0, 0, 0, 1, 1])), are_unequal(torch.tensor([0, 0, 1]))
    (True, True)
    >>> are_unequal(torch.tensor([0, 0, 1, 1, 3]))
    True
    >>> are_unequal(torch.tensor([4, 4, 4, 1, 1, 1]))
    False
    """
    sizes = targets.bincount()
    there = sizes[sizes > 0]
    return len(there) > 1 and bool(there.max() >= UNEQUAL * there.min())


def balanced_accuracy(said: Tensor, targets: Tensor) -> float:
    """The mean share of its pictures that is found of each class, in [0, 1].

    `said`, `targets`: class numbers (N,). Classes without pictures have no say.

    >>> import torch
    >>> balanced_accuracy(torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 0, 1]))
    0.5
    """
    sizes, _, right = _tallies(said, targets)
    return float((right / sizes)[sizes > 0].mean())


def macro_f1(said: Tensor, targets: Tensor) -> float:
    """The mean over classes of the harmonic mean of recall and precision, in [0, 1].

    `said`, `targets`: class numbers (N,). A class that has no pictures and is never said has no
    say; one that has only one of both counts 0.

    >>> import torch
    >>> macro_f1(torch.tensor([0, 0, 1, 1]), torch.tensor([0, 0, 2, 2]))
    0.3333333333333333
    """
    sizes, called, right = _tallies(said, targets)
    either = sizes + called
    return float((2 * right / either)[either > 0].mean())


def auroc(scores: Tensor, positive: Tensor) -> float | None:
    """The chance that a positive picture scores higher than a negative one, in [0, 1].

    The area under the ROC curve, by ranks (Mann and Whitney, 1947); equal scores count half.
    `scores`: (N,). `positive`: bool (N,). None without a picture of each kind.

    >>> import torch
    >>> auroc(torch.tensor([0.1, 0.4, 0.4, 0.8]), torch.tensor([False, False, True, True]))
    0.875
    """
    above = int(positive.sum())
    below = len(positive) - above
    if not above or not below:
        return None
    _, place, counts = scores.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0).double()
    ranks = (last - (counts - 1) / 2)[place]  # from 1; equal scores share the mean of theirs
    return float((ranks[positive].sum() - above * (above + 1) / 2) / (above * below))


def _tallies(said: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """By class: its pictures, those that are called so, and those where both hold."""
    classes = int(max(said.max(), targets.max())) + 1
    columns = (targets, said, targets[said == targets])
    sizes, called, right = (own.bincount(minlength=classes).double() for own in columns)
    return sizes, called, right
