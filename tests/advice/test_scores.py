"""Scores of features against twins that say the same the long way."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from zoo_core.advice.scores import (
    RESAMPLES,
    interval,
    is_lower,
    logme,
    neighbours,
    neighbours_right,
    pareto,
    ranks,
    right,
)
from zoo_core.training.solving.solve import solve


def clouds(count: int, width: int, classes: int, apart: float = 1.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count + width)
    targets = torch.arange(count) % classes
    centres = torch.randn(classes, width, generator=generator) * apart
    return centres[targets] + torch.randn(count, width, generator=generator), targets


@pytest.mark.parametrize(("count", "width"), [(60, 5), (20, 40)])
def test_left_out_is_what_each_fit_without_a_picture_says(count: int, width: int) -> None:
    x, y = clouds(count, width, 3)
    judged = solve(x, y).left_out
    hits = right(judged, y)
    assert hits.mean().item() == pytest.approx(judged.accuracy, abs=1e-12)
    assert set(hits.tolist()) <= {0.0, 1.0}


def test_equal_scores_count_as_argmax_has_them() -> None:
    x, y = torch.ones(12, 4), torch.arange(12) % 3
    judged = solve(x, y).left_out
    assert right(judged, y).mean().item() == pytest.approx(judged.accuracy)


def test_right_with_several_labels_is_the_share_of_them() -> None:
    x, y = clouds(40, 6, 2)
    several = torch.stack([y, 1 - y, (x[:, 0] > 0).long()], 1).float()
    judged = solve(x, several).left_out
    assert right(judged, several).mean().item() == pytest.approx(judged.accuracy)


@pytest.mark.parametrize("k", [1, 5, 20, 500])
def test_neighbours_equal_brute_force(k: int) -> None:
    x, y = clouds(50, 7, 4, apart=0.7)
    found = neighbours_right(x, y, k)
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j != i]
        cosine = {
            j: float(torch.cosine_similarity(x[i].double(), x[j].double(), dim=0)) for j in others
        }
        near = sorted(others, key=lambda j: -cosine[j])[:k]
        votes = [sum(1 + cosine[j] for j in near if y[j] == c) for c in range(4)]
        assert found[i] == float(votes.index(max(votes)) == y[i])


def test_neighbours_of_several_labels() -> None:
    x, y = clouds(30, 4, 3)
    several = torch.nn.functional.one_hot(y).float()
    found = neighbours_right(x, several, 3)
    assert 0.5 < found.mean() <= 1
    assert neighbours(several) == 5 and neighbours(torch.arange(100) % 5) == 20


@pytest.mark.parametrize(("count", "width"), [(40, 3), (12, 30)])
def test_logme_is_the_largest_evidence(count: int, width: int) -> None:
    """The twin: log N(y; 0, I / b + F Fᵀ / a), climbed by gradient in log a and log b."""
    x, y = clouds(count, width, 3, apart=0.5)
    total = 0.0
    for number in range(3):
        column = (y == number).double()
        total += largest_evidence(x.double(), column) / count
    assert logme(x, y) == pytest.approx(total / 3, rel=1e-5)


def largest_evidence(f: Tensor, y: Tensor) -> float:
    logs = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    climb = torch.optim.LBFGS(
        [logs], max_iter=500, line_search_fn="strong_wolfe", tolerance_grad=1e-10
    )

    def below() -> Tensor:
        climb.zero_grad()
        a, b = logs.exp()
        covariance = torch.eye(len(y), dtype=torch.float64) / b + f @ f.T / a
        loss = (covariance.logdet() + y @ torch.linalg.solve(covariance, y)) / 2
        loss.backward()
        return loss

    climb.step(below)
    return -below().item() - len(y) / 2 * math.log(2 * math.pi)


def test_logme_prefers_features_that_tell_classes_apart() -> None:
    x, y = clouds(90, 8, 3, apart=3.0)
    assert logme(x, y) > logme(x[torch.randperm(90, generator=torch.Generator().manual_seed(0))], y)
    assert math.isnan(logme(x, torch.zeros(90, dtype=torch.int64)))


def test_the_interval_is_the_bootstrap_one_mean_at_a_time() -> None:
    values = (torch.arange(37) % 4 > 0).double()
    pool = [*values.tolist(), 0.0, 1.0]
    drawn = torch.randint(39, (RESAMPLES, 37), generator=torch.Generator().manual_seed(3))
    means = sorted(sum(pool[i] for i in row) / 37 for row in drawn.tolist())
    low, high = interval(values, 3)
    assert means[24] <= low <= means[25] and means[974] <= high <= means[975]
    assert low < values.mean() < high


def test_few_pictures_are_no_certainty() -> None:
    low, high = interval(torch.ones(5), 0)
    assert low < 0.7 and high == 1.0
    assert not is_lower(torch.zeros(3), torch.ones(3), 0, 1.0)
    assert is_lower(torch.zeros(30), torch.ones(30), 0, 1.0)


def test_who_cannot_be_told_apart_shares_a_rank() -> None:
    good = (torch.arange(200) % 10 == 0).double()
    near = good.clone()
    near[:3] = 1 - near[:3]
    bad = (torch.arange(200) % 2).double()
    assert ranks([bad, near, good], 0, 1.0) == [3, 1, 1]
    assert ranks([good], 0, 1.0) == [1]
    assert ranks([bad, good, bad.clone()], 0, 1.0) == [2, 1, 2]
    # who is a little better on every picture is better, and of three pictures is not yet
    assert ranks([bad, bad + 0.1], 0, 1.0) == [1, 2]
    assert ranks([bad[:3], bad[:3] + 0.1], 0, 1.0) == [1, 1]


def test_the_front_equals_a_search_over_pairs() -> None:
    points = [(1.0, 9.0), (0.8, 4.0), (0.8, 5.0), (0.2, 1.0), (0.1, 1.0), (1.0, 9.0)]
    assert pareto(points) == [True, True, False, True, False, True]
