"""Solved heads against one model for each picture that is left out, and against scikit-learn."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from support.peak import on_linux, peak
from torch import Tensor
from torch.nn import functional

import zoo_core as zoo
from zoo_core.data.balance import picture_weights
from zoo_core.training.solving import logistic, rotation
from zoo_core.training.solving import ridge as ridge_file
from zoo_core.training.solving.calibration import calibrated, losses
from zoo_core.training.solving.ridge import ridge
from zoo_core.training.solving.rotation import Rotation
from zoo_core.training.solving.solve import STRENGTHS, Solved, solve

pytestmark = pytest.mark.usefixtures("one_thread")


def problem(count: int, width: int, classes: int, *, noise: float = 1.0) -> tuple[Tensor, Tensor]:
    """Features around a centre for each class, each feature with its own offset and scale."""
    draw = torch.Generator().manual_seed(count + width)
    y = torch.arange(count) % classes
    x = torch.randn(classes, width, generator=draw, dtype=torch.float64)[y]
    x += noise * torch.randn(count, width, generator=draw, dtype=torch.float64)
    return x * torch.logspace(-2, 2, width, dtype=torch.float64) + 3, y


def duplicated(count: int, width: int) -> tuple[Tensor, Tensor]:
    x, y = problem(count, width, 3)
    return torch.cat([x, x]), torch.cat([y, y])


def with_constants(count: int, width: int) -> tuple[Tensor, Tensor]:
    x, y = problem(count, width, 3)
    x[:, 1], x[:, 4] = 0.0, 1000.1
    return x, y


def lonely(count: int, width: int) -> tuple[Tensor, Tensor]:
    """The last class has one picture only."""
    x, y = problem(count, width, 2)
    y[-1] = 2
    return x, y


PROBLEMS = {
    "more pictures than features": problem(40, 6, 3),
    "fewer pictures than features": problem(20, 50, 3),
    "as many": problem(12, 12, 3),
    "two classes": problem(15, 8, 2),
    "well apart": problem(30, 10, 3, noise=0.05),
    "nothing to learn": (problem(30, 10, 1)[0], torch.arange(30) % 2),
    "each picture twice": duplicated(10, 30),
    "constant features": with_constants(25, 9),
    "one picture of a class": lonely(17, 5),
    "two pictures": problem(2, 4, 2),
}


def standardised(x: Tensor) -> np.ndarray:
    spread = x.std(0, correction=0)
    varied = (x.amax(0) - x.amin(0)) > 1e-9
    return ((x - x.mean(0)) / torch.where(varied, spread, 1.0).sqrt())[:, varied].numpy()


def one_hot(y: Tensor, classes: int) -> np.ndarray:
    return functional.one_hot(y, classes).double().numpy()


def left_out(x: np.ndarray, y: np.ndarray, strength: float) -> Tensor:
    """The score of each row from a ridge regression on all others."""
    scores = []
    for i in range(len(x)):
        rest = np.arange(len(x)) != i
        model = Ridge(alpha=strength, solver="cholesky").fit(x[rest], y[rest])
        scores.append(model.predict(x[i : i + 1])[0])
    return torch.tensor(np.array(scores))


def plain_scores(solved: Solved, x: Tensor, y: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """What scikit-learn's ridge regression of this strength scores: with all, and each left out."""
    turned = Rotation(x, weights)
    z = ((x - turned.mean) * turned.inverse).numpy()
    target = y.numpy() if y.ndim == 2 else one_hot(y, len(solved.bias))
    alpha = solved.strength * float(turned.values.mean())

    prior = np.average(target, 0, weights.numpy())

    def scores(which: np.ndarray) -> np.ndarray:
        known, counts = target[which], weights.numpy()[which]
        plain = Ridge(alpha=alpha, solver="cholesky").fit(z[which], known, counts)
        return plain.predict(z) - np.average(known, 0, counts) + prior  # classes keep their shares

    rows = np.arange(len(x))
    alone = [scores(rows != i)[i] for i in rows]
    return torch.tensor(scores(rows == rows)), torch.tensor(np.array(alone))


def fair(solved: Solved, x: Tensor, plain: Tensor, alone: Tensor) -> Tensor:
    """Scores left out, as much larger as the solution is than the plain regression."""
    given = x @ solved.weight.T + solved.bias
    fits = [np.polyfit(p, g, 1) for p, g in zip(plain.T.numpy(), given.T.numpy(), strict=True)]
    factor, shift = torch.tensor(np.array(fits)).T
    torch.testing.assert_close(plain * factor + shift, given, rtol=1e-6, atol=1e-6)
    return alone * factor + shift


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", PROBLEMS)
def test_it_is_ridge_regression_and_its_scores_are_those_of_leaving_one_out(
    name: str, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logistic, "PARAMETERS", 0)
    x, y = PROBLEMS[name]
    weights = picture_weights(y) if weighted else torch.ones(len(y), dtype=torch.float64)
    solved = solve(x, y, weights=weights if weighted else None)
    plain, alone = plain_scores(solved, x, y, weights)
    scores = x @ solved.weight.T + solved.bias
    factor = (scores * plain).sum() / plain.square().sum()
    torch.testing.assert_close(plain * factor, scores, rtol=1e-6, atol=1e-6)
    lost = losses(alone * factor, y)
    torch.testing.assert_close(solved.left_out.losses, lost, rtol=1e-5, atol=1e-6)
    mean = float((lost * weights).sum() / weights.sum())
    assert solved.left_out.loss == pytest.approx(mean, rel=1e-5)
    top = alone.topk(2, 1).values
    clear = (top[:, 0] - top[:, 1]) > 1e-9  # a tie has no right answer
    right = (alone.argmax(1) == y).double()
    assert abs(solved.left_out.accuracy - right.mean()) <= (~clear).double().mean() + 1e-12
    own = alone.gather(1, y[:, None])[:, 0]
    best, likely = alone.scatter(1, y[:, None], -torch.inf).max(1)
    torch.testing.assert_close(solved.left_out.margins, (own - best) * factor, rtol=1e-5, atol=1e-6)
    assert solved.left_out.likely is not None
    same = solved.left_out.likely == likely
    gap = alone.max(1).values - alone.gather(1, solved.left_out.likely[:, None])[:, 0]
    assert (same | (gap < 1e-9) | (likely == y) | (len(solved.bias) > 2)).all()


@pytest.mark.parametrize("width", [5, 60])
@pytest.mark.parametrize("weighted", [False, True])
def test_several_labels_are_left_out_exactly(width: int, weighted: bool) -> None:
    x, y = problem(30, width, 4)
    draw = torch.Generator().manual_seed(1)
    labels = (functional.one_hot(y, 4) + (torch.rand(30, 4, generator=draw) < 0.2)).clamp(max=1)
    weights = picture_weights(labels) if weighted else torch.ones(30, dtype=torch.float64)
    solved = solve(x, labels, weights=weights)
    plain, alone = plain_scores(solved, x, labels.double(), weights)
    scores = fair(solved, x, plain, alone)
    yes = labels > 0
    sides = torch.where(yes, scores, -scores)
    torch.testing.assert_close(solved.left_out.margins, sides, rtol=1e-5, atol=1e-6)
    assert solved.left_out.accuracy == ((scores > 0) == yes).double().mean()
    lost = losses(scores, labels.double())
    torch.testing.assert_close(solved.left_out.losses, lost, rtol=1e-5, atol=1e-6)


def test_labels_that_nothing_has_or_all_have_are_said_to_be_so() -> None:
    x, y = problem(30, 5, 2)
    labels = torch.stack([y == 0, y == 1, y < 0, y >= 0], 1).float()
    solved = solve(x, labels)
    scores = x @ solved.weight.T + solved.bias
    assert (scores[:, 2] < -3).all() and (scores[:, 3] > 3).all() and scores.isfinite().all()
    assert solved.weight[2:].abs().max() < 1e-9


def test_probabilities_of_labels_are_those_of_a_logistic_regression_on_the_scores() -> None:
    draw = torch.Generator().manual_seed(0)
    scores = torch.randn(200, 3, generator=draw, dtype=torch.float64) * torch.tensor([0.1, 1, 9])
    chance = torch.sigmoid(scores * torch.tensor([20.0, 1.0, 0.1]) + torch.tensor([0.0, 2.0, -1.0]))
    labels = (torch.rand(200, 3, generator=draw, dtype=torch.float64) < chance).double()
    found = calibrated(scores, labels, torch.ones(200, dtype=torch.float64))
    for label in range(3):
        aims = np.r_[np.ones(200), np.zeros(200)]
        soft = (labels[:, label] * (1 - 1 / 200) + 1 / 400).numpy()
        twice = np.r_[scores[:, label], scores[:, label]][:, None]
        plain = LogisticRegression(C=1e9, tol=1e-10, max_iter=5000)
        plain.fit(twice, aims, np.r_[soft, 1 - soft])
        assert float(found.factor[label]) == pytest.approx(plain.coef_[0, 0], rel=1e-3)
        assert float(found.shift[label]) == pytest.approx(plain.intercept_[0], rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_factor_makes_the_loss_smallest(name: str) -> None:
    x, y = PROBLEMS[name]
    ones, soft = torch.ones(len(y), dtype=torch.float64), 1 / len(y)
    scores = ridge(x, y, int(y.max()) + 1, ones).left_out(slice(None), 1.0)

    def loss(factor: float) -> float:
        smooth = {"label_smoothing": soft}
        return functional.cross_entropy(scores * factor, y, **smooth).item()

    found = float(calibrated(scores, y, ones).factor)
    assert loss(found) <= min(map(loss, np.logspace(-3, 4, 500))) + 1e-9


def test_the_strength_is_the_strongest_within_a_quarter_of_a_standard_error() -> None:
    x, y = problem(40, 60, 3, noise=3.0)
    ones = torch.ones(40, dtype=torch.float64)
    fit, rows = ridge(x, y, 3, ones), []
    for strength in STRENGTHS:
        scores = fit.left_out(slice(None), strength)
        rows.append(losses(calibrated(scores, y, ones)(scores), y).numpy())
    means = np.array([row.mean() for row in rows])
    best = int(means.argmin())
    near = [
        i for i, row in enumerate(rows)
        if (row - rows[best]).mean() <= (row - rows[best]).std() / 40**0.5 / 4
    ]  # fmt: skip
    assert solve(x, y).strength == pytest.approx(STRENGTHS[near[-1]]) and best < near[-1]


def test_accuracy_left_out_is_that_on_new_pictures() -> None:
    """Fewer pictures than features, where a strength that runs to the edge flatters itself."""
    gaps, draw = [], torch.Generator().manual_seed(0)
    centres = 0.3 * torch.randn(8, 400, generator=draw)
    for _ in range(10):
        y = torch.arange(2200) % 8
        x = centres[y] + torch.randn(2200, 400, generator=draw)
        solved = solve(x[:200], y[:200])
        scores = x[200:].double() @ solved.weight.T + solved.bias
        right = (scores.argmax(1) == y[200:]).double().mean()
        gaps.append(solved.left_out.accuracy - float(right))
        assert solved.strength > 0.01
    assert abs(np.mean(gaps)) < 0.03


def test_pictures_that_count_twice_are_as_if_they_were_there_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logistic, "PARAMETERS", 0)
    x, y = problem(24, 7, 3, noise=2.0)
    times = 1 + torch.arange(24) % 3
    weighted = solve(x, y, weights=times.double(), strengths=[0.3])
    repeated = solve(x.repeat_interleave(times, 0), y.repeat_interleave(times), strengths=[0.3])
    first, second = (s.weight / s.weight.norm() for s in (weighted, repeated))
    torch.testing.assert_close(first, second)


# --- logistic regression -------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_logistic_regression(weighted: bool) -> None:
    x, y = problem(90, 6, 3, noise=1.5)
    weights = 0.5 + torch.rand(90, dtype=torch.float64) if weighted else torch.ones(90).double()
    fit = ridge(x, y, 3, weights)
    found = logistic.refined(fit, 0.1, calibrated(fit.left_out(slice(None), 0.1), y, weights))
    assert found is not None
    turned = fit.rotation
    z = ((x - turned.mean) * turned.inverse).numpy()
    plain = LogisticRegression(C=1 / (found.strength * float(turned.values.mean())), tol=1e-10,
                               max_iter=9999).fit(z, y.numpy(), weights.numpy())  # fmt: skip
    weight = turned.undone(found.coefficients)
    scores = (x - turned.mean) @ weight.T + found.bias
    expected = torch.tensor(plain.predict_proba(z))
    torch.testing.assert_close(scores.softmax(1), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("count", "most"), [(30, 0.4), (60, 0.10), (240, 0.02)])
def test_its_scores_are_near_those_of_leaving_one_out(count: int, most: float) -> None:
    x, y = problem(count, 4, 3, noise=1.5)
    x = torch.cat([(x - x.mean(0)) / x.std(0), torch.ones(count, 1)], 1).double()
    weights = 0.5 + torch.arange(count).double() / count
    penalty = torch.tensor([[0.3]] * 4 + [[1e-6]], dtype=torch.float64)
    all_of_them = logistic._minimum(x, y, weights, penalty, x.new_zeros(5, 3))
    near = logistic._left_out(x, y, weights, penalty, all_of_them)
    exact = []
    for i in range(count):
        rest = torch.arange(count) != i
        w = logistic._minimum(x[rest], y[rest], weights[rest], penalty, all_of_them)
        exact.append(x[i] @ w)
    alone = torch.stack(exact).log_softmax(1)
    moved = (alone - (x @ all_of_them).log_softmax(1)).abs().mean()
    assert (near.log_softmax(1) - alone).abs().mean() < most * moved
    assert losses(near, y).mean() == pytest.approx(float(losses(alone, y).mean()), rel=0.05)


def test_it_takes_the_place_of_ridge_regression_only_where_it_gains() -> None:
    """Classes along a line: a regression at 0 and 1 masks the one in the middle."""
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(300) % 3
    x = y[:, None].double() + 0.3 * torch.randn(300, 1, generator=draw, dtype=torch.float64)
    assert solve(x, y).logistic and solve(x, y).left_out.accuracy > 0.85
    far = functional.one_hot(y, 3) + torch.randn(300, 3, generator=draw)
    assert not solve(far[:, :2], (y == 1).long()).logistic


# --- whatever comes ------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [12, 60])
def test_neither_offsets_nor_one_scale_of_all_features_matter(count: int) -> None:
    x, y = problem(count, 30, 3, noise=4.0)
    draw = torch.Generator().manual_seed(0)
    offset = torch.randn(30, generator=draw, dtype=torch.float64)
    first, second = solve(x, y), solve(x * 50 + 500 * offset, y)
    assert second.strength == pytest.approx(first.strength, rel=1e-6)
    assert second.left_out.loss == pytest.approx(first.left_out.loss, rel=1e-5)
    torch.testing.assert_close(second.weight * 50, first.weight, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_features_of_half_precision_are_solved_in_double(dtype: torch.dtype) -> None:
    x, y = problem(30, 8, 3)
    x = x.to(dtype)
    solved, expected = solve(x, y), solve(x.double(), y)
    assert solved.weight.dtype == solved.bias.dtype == torch.float64
    assert torch.equal(solved.weight, expected.weight)
    assert solved.left_out.loss == expected.left_out.loss


@pytest.mark.parametrize("value", [0.0, 0.1, 1000.1, 1e-12])
def test_constant_features_say_nothing(value: float) -> None:
    x, y = problem(79, 5, 2, noise=4.0)
    x = x / 1e5  # so that what rounding leaves of a constant is not small beside it
    constant = torch.full((79, 3), value, dtype=torch.float64)
    solved, without = solve(torch.cat([x, constant], 1), y), solve(x, y)
    torch.testing.assert_close(solved.weight[:, :5], without.weight, rtol=1e-5, atol=0.0)
    assert solved.weight[:, 5:].abs().max() == 0
    assert solved.left_out.loss == pytest.approx(without.left_out.loss)


def test_features_that_are_all_constant_give_the_shares_of_the_classes() -> None:
    x, y = torch.full((9, 4), 0.3), torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1])
    solved = solve(x, y)
    assert solved.weight.abs().max() == 0 and solved.weight.isfinite().all()
    assert solved.bias[0] >= solved.bias[1]


def test_a_class_without_pictures_is_never_chosen() -> None:
    x, y = problem(30, 6, 3)
    solved = solve(x, y, classes=5)
    scores = x @ solved.weight.T + solved.bias
    assert solved.weight.shape == (5, 6) and (scores.argmax(1) < 3).all()


def test_classes_that_are_all_right_give_weights_of_some_size() -> None:
    x, y = PROBLEMS["well apart"]
    unit = (x - x.mean(0)) / x.std(0)
    solved = solve(unit, y)
    assert solved.left_out.accuracy == 1 and solved.weight.norm() < 10


def test_more_features_than_pictures_or_the_other_way_is_the_same_solution() -> None:
    x, y = problem(30, 29, 3, noise=2.0)
    wide = solve(torch.cat([x, torch.zeros(30, 20)], 1), y)
    tall = solve(x, y)
    torch.testing.assert_close(wide.weight[:, :29], tall.weight, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(wide.left_out.losses, tall.left_out.losses, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("shape", [(50, 8), (20, 50)])
def test_blocks_change_nothing(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = problem(*shape, 3)
    whole = solve(x, y)
    monkeypatch.setattr(rotation, "BLOCK", 7)
    pieces = solve(x, y)
    torch.testing.assert_close(pieces.weight, whole.weight)
    torch.testing.assert_close(pieces.left_out.margins, whole.left_out.margins)


def test_with_many_classes_some_pictures_of_each_choose_the_strength(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = problem(400, 30, 8, noise=2.0)
    monkeypatch.setattr(logistic, "PARAMETERS", 0)
    whole = solve(x, y)
    monkeypatch.setattr(ridge_file, "JUDGED", 8 * 160)
    monkeypatch.setattr(ridge_file, "FEWEST", 40)
    some = ridge_file._some(y, 8)
    assert len(some) == 160 and y[some].bincount().tolist() == [20] * 8
    part = solve(x, y)
    assert len(part.left_out.losses) == 400
    assert part.left_out.loss == pytest.approx(whole.left_out.loss, rel=0.05)


def test_the_same_features_give_the_same_bits() -> None:
    x, y = problem(120, 10, 3, noise=2.0)
    first, second = solve(x, y), solve(x.clone(), y)
    assert torch.equal(first.weight, second.weight) and torch.equal(first.bias, second.bias)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.zeros(1, 4), torch.tensor([1]), "from one picture"),
        (torch.rand(5, 4), torch.zeros(5, dtype=torch.int64), "one class"),
        (torch.tensor([[1.0], [torch.nan], [torch.inf]]), torch.tensor([0, 1, 0]), "2 of 3 pict"),
    ],
)
def test_what_cannot_be_solved_says_why(x: Tensor, y: Tensor, message: str) -> None:
    with pytest.raises(zoo.RecipeError, match=message):
        solve(x, y)


def test_many_features_of_few_pictures() -> None:
    x = torch.randn(12, 150_000, generator=torch.Generator().manual_seed(0))
    x[:6, :40000] += 1
    began = time.process_time()
    solved = solve(x, torch.tensor([0] * 6 + [1] * 6))
    assert solved.left_out.accuracy == 1 and time.process_time() - began < 5


@pytest.mark.slow
def test_thousands_of_classes_take_seconds() -> None:
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(32_000) % 4000
    x = 2 * torch.randn(4000, 84, generator=draw)[y] + torch.randn(32_000, 84, generator=draw)
    began = time.process_time()
    solved = solve(x, y)
    assert time.process_time() - began < 20 and solved.left_out.accuracy > 0.5


READY = """
import torch
from zoo_core.training.solving.solve import solve

draw = torch.Generator().manual_seed(0)
y = torch.arange(32_000) % 4000
x = torch.randn(4000, 84, generator=draw)[y] + torch.randn(32_000, 84, generator=draw)
solve(x[:400], y[:400] % 4)  # thread pools
"""


@on_linux
def test_thousands_of_classes_take_little_memory() -> None:
    """One matrix of scores in float64 would be a gigabyte: no more than some blocks of it."""
    assert peak(READY, "solve(x, y)") < 500_000_000
