"""Figures for classes of unequal size, beside scikit-learn's."""

from __future__ import annotations

import warnings

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from zoo_core.inference.unequal import are_unequal, auroc, balanced_accuracy, macro_f1


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("classes", "count"), [(2, 3), (2, 40), (5, 7), (30, 200), (1000, 300)])
def test_as_scikit_learn_has_them(classes: int, count: int, seed: int) -> None:
    """Many classes have no pictures here, or are never said, or both."""
    generator = torch.Generator().manual_seed(seed)
    said, targets = (torch.randint(classes, (count,), generator=generator) for _ in range(2))
    said[::3] = targets[::3]
    with warnings.catch_warnings():  # of classes that are said and have no pictures
        warnings.simplefilter("ignore")
        assert balanced_accuracy(said, targets) == pytest.approx(
            balanced_accuracy_score(targets, said)
        )
        expected = f1_score(targets, said, average="macro", zero_division=0)
    assert macro_f1(said, targets) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("steps", [2, 5, 1_000_000])
def test_auroc_as_scikit_learn_has_it(seed: int, steps: int) -> None:
    """With `steps` different scores there are ties, or hardly any."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(steps, (200,), generator=generator) / steps - 0.5
    positive = torch.rand(200, generator=generator) < 0.1 + scores
    positive[0], positive[1] = True, False
    assert auroc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


def test_auroc_by_hand() -> None:
    same = torch.zeros(4)
    assert auroc(same, torch.tensor([True, False, False, True])) == 0.5
    assert auroc(same, torch.ones(4).bool()) is None and auroc(same, same.bool()) is None
    infinite = torch.tensor([float("-inf"), 0.0, float("inf")])
    assert auroc(infinite, torch.tensor([False, True, True])) == 1.0


@pytest.mark.parametrize(
    ("sizes", "unequal"),
    [([10, 10], False), ([14, 10], False), ([15, 10], True), ([9, 0, 9], False), ([5], False)],
)
def test_what_counts_as_unequal(sizes: list[int], unequal: bool) -> None:
    targets = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    assert are_unequal(targets) is unequal
