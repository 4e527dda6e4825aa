"""Scores and true classes -> figures. Pure functions on tensors, on the device where those are.

`targets` are class numbers (N,), or 0 and 1 as floats (N, C) where a picture can have several
classes (multi-label).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NotRequired, TypedDict

import torch
from torch import Tensor
from torch.nn import functional

from zoo_core.errors import DataError

BINS = 15  # of the calibration error, as in its paper


class ClassMetrics(TypedDict):
    """How well a model does on one class.

    `count`: its pictures. `accuracy`: the share of them that is found (recall). `precision`: the
    share that is right of what the model calls so; 0 where it never does. `f1`: the harmonic mean
    of both.
    """

    count: int
    accuracy: float
    precision: float
    f1: float


class Metrics(TypedDict):
    """How well a model does on data.

    `accuracy`: top-1 in [0, 1]. `loss`: mean log-loss in nats. `count`: pictures. `per_class`:
    accuracy by class name; `table`: more by class name; both of the classes in the data, in the
    model's order. `top5` in [0, 1]: absent where there are five classes or fewer, since it is 1.
    `ece` in [0, 1]: the expected calibration error. `trained_on`: how many of the pictures the
    model was trained on by zoo; absent where nothing says so.

    Multi-label: `accuracy` is the share of yes and no that is right, `loss` the mean binary
    log-loss, `map` the mean average precision over the classes in the data, absent without any.
    There is no `top5` and no `ece`.
    """

    accuracy: float
    loss: float
    count: int
    per_class: dict[str, float]
    table: dict[str, ClassMetrics]
    top5: NotRequired[float]
    ece: NotRequired[float]
    map: NotRequired[float]
    trained_on: NotRequired[int]


def measured(scores: Tensor, targets: Tensor, names: Sequence[str]) -> Metrics:
    """All figures of a model's scores (N, C), before softmax or sigmoid.

    `names`: of the C classes; one that stands there twice gets its number behind it. Among equal
    scores the first class counts as the model's choice. Raises DataError without pictures, and
    where shapes do not fit.

    >>> scores = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 1.0]])
    >>> figures = measured(scores, torch.tensor([0, 1, 1]), ["cat", "dog"])
    >>> round(figures["accuracy"], 3), figures["per_class"]
    (0.667, {'cat': 1.0, 'dog': 0.5})
    """
    _check(scores, targets, names)
    table = _table(_tallies(scores, targets), _distinct(names))
    return {
        **(_one_class(scores, targets) if targets.ndim == 1 else _several(scores, targets)),
        "count": len(targets),
        "per_class": {name: row["accuracy"] for name, row in table.items()},
        "table": table,
    }


def confusion(scores: Tensor, targets: Tensor, classes: int) -> Tensor:
    """How many pictures of each class (rows) are called what (columns): (classes, classes), int64.

    `scores`: (N, classes). `targets`: class numbers (N,).

    >>> confusion(torch.tensor([[2.0, 0.0], [3.0, 1.0]]), torch.tensor([0, 1]), 2).tolist()
    [[1, 0], [1, 0]]
    """
    cells = targets * classes + scores.argmax(1)
    return torch.bincount(cells, minlength=classes**2).view(classes, classes)


def calibration_error(probabilities: Tensor, targets: Tensor) -> float:
    """The expected calibration error in [0, 1]: how far confidence is from accuracy.

    `probabilities`: (N, C), after softmax. The gap between mean confidence and accuracy in each of
    the `calibration_bins`, averaged over them, each by its share of the pictures.

    >>> calibration_error(torch.tensor([[0.75, 0.25], [0.25, 0.75]]), torch.tensor([0, 0]))
    0.25
    """
    counts, confidence, right = calibration_bins(probabilities, targets)
    return (right - confidence).abs().sum().item() / int(counts.sum())


def calibration_bins(probabilities: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures in 15 bins of equal width by the probability of the likeliest class.

    `probabilities`: (N, C), after softmax. Of each bin, (15,): how many pictures it has, the sum of
    these probabilities, and how many are right. Guo et al., 2017, https://arxiv.org/abs/1706.04599

    >>> counts, confidence, right = calibration_bins(torch.tensor([[0.9, 0.1]]), torch.tensor([0]))
    >>> counts.nonzero().item(), right[13].item()
    (13, 1.0)
    """
    confidence, said = probabilities.double().max(1)
    bins = (confidence * BINS).ceil().long().sub(1).clamp(0, BINS - 1)  # each with its upper edge
    sums = confidence.new_zeros(3, BINS)
    values = torch.stack([torch.ones_like(confidence), confidence, (said == targets).double()])
    counts, total, right = sums.index_add(1, bins, values)
    return counts.long(), total, right


def average_precision(scores: Tensor, relevant: Tensor) -> float:
    """The area under the steps of precision over recall, in [0, 1]; equal scores are one step.

    `scores`: (N,). `relevant`: (N,) of 0 and 1, at least one of them 1.

    >>> round(average_precision(torch.tensor([3.0, 2.0, 1.0]), torch.tensor([1, 0, 1])), 3)
    0.833
    """
    ranked, order = scores.sort(descending=True)
    hits = relevant[order].double().cumsum(0)
    last = torch.cat([ranked[:-1] != ranked[1:], ranked.new_ones(1, dtype=torch.bool)])
    taken = last.nonzero().squeeze(1)  # where a threshold can lie: below the last of equals
    precision = hits[taken] / (taken + 1)
    return (hits[taken].diff(prepend=hits.new_zeros(1)) @ precision / hits[-1]).item()


# --- in all --------------------------------------------------------------------------------------


class _Figures(TypedDict):
    accuracy: float
    loss: float
    top5: NotRequired[float]
    ece: NotRequired[float]
    map: NotRequired[float]


def _one_class(scores: Tensor, targets: Tensor) -> _Figures:
    rank = _rank(scores, targets)
    losses = functional.cross_entropy(scores, targets, reduction="none")
    figures: _Figures = {
        "accuracy": _share(rank < 1),
        "loss": losses.double().mean().item(),
        "ece": calibration_error(scores.softmax(1), targets),
    }
    if scores.shape[1] > 5:
        figures["top5"] = _share(rank < 5)
    return figures


def _several(scores: Tensor, targets: Tensor) -> _Figures:
    losses = functional.binary_cross_entropy_with_logits(scores, targets, reduction="none")
    figures: _Figures = {
        "accuracy": _share((scores > 0) == (targets > 0)),
        "loss": losses.double().mean().item(),
    }
    present = targets.any(0).nonzero().flatten().tolist()
    if present:
        each = [average_precision(scores[:, i], targets[:, i]) for i in present]
        figures["map"] = sum(each) / len(each)
    return figures


def _rank(scores: Tensor, targets: Tensor) -> Tensor:
    """How many classes come before the true one, (N,); a score that is NaN comes before it."""
    own = scores.gather(1, targets[:, None])
    before = torch.arange(scores.shape[1], device=scores.device) < targets[:, None]
    return (~(scores <= own) | ((scores == own) & before)).sum(1)


def _share(right: Tensor) -> float:
    return right.double().mean().item()


# --- by class ------------------------------------------------------------------------------------


def _tallies(scores: Tensor, targets: Tensor) -> list[list[int]]:
    """By class: [pictures of it, pictures that are called so, pictures where both hold]."""
    if targets.ndim == 2:
        said, true = scores > 0, targets > 0
        counts = [true.sum(0), said.sum(0), (said & true).sum(0)]
    else:
        called, classes = scores.argmax(1), scores.shape[1]
        columns = (targets, called, targets[called == targets])
        counts = [torch.bincount(numbers, minlength=classes) for numbers in columns]
    return torch.stack(counts, 1).tolist()


def _table(tallies: list[list[int]], names: Sequence[str]) -> dict[str, ClassMetrics]:
    return {
        name: {
            "count": count,
            "accuracy": right / count,
            "precision": right / said if said else 0.0,
            "f1": 2 * right / (count + said),
        }
        for name, (count, said, right) in zip(names, tallies, strict=True)
        if count
    }


def _distinct(names: Sequence[str]) -> list[str]:
    """ImageNet has two classes "crane", a bird (134) and a machine (517)."""
    counts = Counter(names)
    told = [f"{name} ({i})" if counts[name] > 1 else name for i, name in enumerate(names)]
    return told if len(set(told)) == len(told) else _distinct(told)


def _check(scores: Tensor, targets: Tensor, names: Sequence[str]) -> None:
    size, classes = scores.shape
    if size == 0:
        raise DataError("There are no pictures to measure.")
    if targets.shape not in ((size,), (size, classes)) or len(names) != classes:
        shapes = f"scores {tuple(scores.shape)}, targets {tuple(targets.shape)}"
        raise DataError(f"These do not fit together: {shapes}, {len(names)} class names.")
    if targets.ndim == 1 and not 0 <= targets.min() <= targets.max() < classes:
        raise DataError(f"A class number is not in 0 to {classes - 1}.")
