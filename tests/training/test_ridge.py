"""The head in closed form, against one model for each picture that is left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge, RidgeCV
from support.model_fixtures import Offer
from support.toys import MANIFEST, toy
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import TensorDataset

import zoo_core as zoo
from zoo_core.model.zoo_model import ZooModel
from zoo_core.training.cache.prefix import Prefix, frozen_stages, rows_for
from zoo_core.training.ridge import STRENGTHS, Solution, solve

pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")
QUIET = {"out": False, "progress": False}


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
    return ((x - x.mean(0)) / torch.where(varied, spread, 1.0))[:, varied].numpy()


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


def factor_of(solution: Solution, x: Tensor, y: Tensor) -> float:
    """How much larger its scores are than those of the plain regression with its strength."""
    classes = len(solution.bias)
    plain = Ridge(alpha=solution.strength, solver="cholesky")
    expected = plain.fit(standardised(x), one_hot(y, classes)).predict(standardised(x))
    scores = (x @ solution.weight.T + solution.bias).numpy()
    factor = float((scores * expected).sum() / (expected * expected).sum())
    np.testing.assert_allclose(scores, factor * expected, rtol=1e-6, atol=1e-8 + 1e-8 * factor)
    return factor


@pytest.mark.parametrize("name", PROBLEMS)
def test_it_is_ridge_regression_and_its_scores_are_those_of_leaving_one_out(name):
    x, y = PROBLEMS[name]
    classes = int(y.max()) + 1
    solution = solve(x, y, classes)
    factor = factor_of(solution, x, y)
    scores = left_out(standardised(x), one_hot(y, classes), solution.strength)
    loss = functional.cross_entropy(scores * factor, y).item()
    assert solution.loss == pytest.approx(loss, rel=1e-6)
    top = scores.topk(2, 1).values
    clear = (top[:, 0] - top[:, 1]) > 1e-9  # a tie has no right answer
    right = (scores.argmax(1) == y).double()
    assert abs(solution.accuracy - right.mean().item()) <= (~clear).double().mean().item()


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_factor_makes_the_loss_smallest(name):
    x, y = PROBLEMS[name]
    classes = int(y.max()) + 1
    solution = solve(x, y, classes)
    scores = left_out(standardised(x), one_hot(y, classes), solution.strength)
    grid = torch.cat([torch.zeros(1), torch.logspace(-6, 3, 400)]).tolist()  # it ends at 1000
    least = min(functional.cross_entropy(scores * f, y).item() for f in grid)
    assert solution.loss <= least + 1e-9


@pytest.mark.parametrize("name", [n for n in PROBLEMS if n != "two pictures"])
def test_the_strength_is_the_choice_of_scikit_learn(name):
    x, y = PROBLEMS[name]
    classes = int(y.max()) + 1
    plain, target = standardised(x), one_hot(y, classes)
    rank = np.linalg.matrix_rank(plain - plain.mean(0))
    grid = STRENGTHS.numpy() * (plain**2).sum() / rank
    chosen = RidgeCV(alphas=grid).fit(plain, target)
    solution = solve(x, y, classes)
    assert np.isclose(grid, solution.strength, rtol=1e-6).any()
    ours, theirs = (
        float(((left_out(plain, target, strength).numpy() - target) ** 2).mean())
        for strength in (solution.strength, float(chosen.alpha_))
    )
    assert ours <= theirs * (1 + 1e-6)


@pytest.mark.parametrize("count", [12, 60])
def test_neither_offsets_nor_scales_of_features_matter(count):
    x, y = problem(count, 30, 3, noise=4.0)
    draw = torch.Generator().manual_seed(0)
    offset, scale = torch.randn(2, 30, generator=draw, dtype=torch.float64)
    first, second = solve(x, y, 3), solve(x * scale.exp() + 50 * offset, y, 3)
    assert second.strength == pytest.approx(first.strength, rel=1e-6)
    assert second.loss == pytest.approx(first.loss, rel=1e-6)
    torch.testing.assert_close(second.weight * scale.exp(), first.weight, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_features_of_half_precision_are_solved_in_double(dtype):
    x, y = problem(30, 8, 3)
    x = x.to(dtype)
    solution, expected = solve(x, y, 3), solve(x.double(), y, 3)
    assert solution.weight.dtype == solution.bias.dtype == torch.float64
    assert torch.equal(solution.weight, expected.weight) and solution.loss == expected.loss


@pytest.mark.parametrize("value", [0.0, 0.1, 1000.1, 1e-12])
def test_constant_features_say_nothing(value):
    x, y = problem(79, 5, 2, noise=4.0)
    x = x / 1e5  # so that what rounding leaves of a constant is not small beside it
    constant = torch.full((79, 3), value, dtype=torch.float64)
    solution, without = solve(torch.cat([x, constant], 1), y, 2), solve(x, y, 2)
    torch.testing.assert_close(solution.weight[:, :5], without.weight, rtol=1e-6, atol=0.0)
    assert solution.weight[:, 5:].abs().max() == 0 and solution.loss == pytest.approx(without.loss)


def test_features_that_are_all_constant_give_the_shares_of_the_classes():
    x, y = torch.full((9, 4), 0.3), torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1])
    solution = solve(x, y, 2)
    assert solution.weight.abs().max() == 0 and solution.weight.isfinite().all()
    assert solution.bias[0] >= solution.bias[1]


def test_a_class_without_pictures_is_never_chosen():
    x, y = problem(30, 6, 3)
    solution = solve(x, y, 5)
    scores = x @ solution.weight.T + solution.bias
    assert solution.weight.shape == (5, 6) and (scores.argmax(1) < 3).all()
    assert solution.weight[3:].abs().max() == 0


# --- in a training -------------------------------------------------------------------------------


def lenet(stage: str | None, classes: int = 3) -> ZooModel:
    torch.manual_seed(0)
    model = zoo.create("lenet5", pretrained=True).reset_head(classes)
    return model.freeze_until(stage) if stage else model


def digits(count: int = 40) -> TensorDataset:
    draw = torch.Generator().manual_seed(0)
    y = torch.arange(count) % 3
    return TensorDataset(torch.randn(count, 1, 32, 32, generator=draw) + y[:, None, None, None], y)


@pytest.mark.parametrize("cache", [True, False])
def test_without_epochs_the_head_is_the_solution_and_nothing_else(cache):
    data, model = digits(), lenet("head")
    x, y = data.tensors
    given = {"val": digits(11), "epochs": 0, "batch_size": 16, "cache": cache}
    run = zoo.finetune(model, data, head="ridge", **given, **QUIET)
    prefix = Prefix(model, frozen_stages(model), rows_for(16, x.device), torch.no_grad)
    solution = solve(prefix(x), y, 3)
    assert torch.equal(model.head.weight, solution.weight.float())
    assert torch.equal(model.head.bias, solution.bias.float())
    assert run.best["epoch"] == 0 and run.history == [run.best]
    assert run.best["loss"] == solution.loss and run.best["strength"] == solution.strength
    with torch.no_grad():
        scores = model.eval()(digits(11).tensors[0])
    expected = functional.cross_entropy(scores, digits(11).tensors[1]).item()
    assert run.best["val_loss"] == pytest.approx(expected, rel=1e-5)


def solved(capsys: pytest.CaptureFixture[str], model: ZooModel, data: object, **given: object):
    capsys.readouterr()
    zoo.finetune(model, data, epochs=1, out=False, cache=False, **given)
    return "Head solved in closed form" in capsys.readouterr().err


def test_auto_solves_a_new_head_that_trains_alone(capsys):
    assert solved(capsys, lenet("head"), digits())
    assert not solved(capsys, lenet("fc2"), digits())
    assert not solved(capsys, lenet(None), digits())
    assert not solved(capsys, lenet("head"), digits(), head="random")
    old = zoo.create("lenet5", pretrained=True).freeze_until("head")
    assert not solved(capsys, old, digits())
    assert solved(capsys, old, digits(), head="ridge")


def test_a_head_is_new_only_once(capsys):
    model = lenet("head")
    assert solved(capsys, model, digits())
    assert not solved(capsys, model, digits())


@pytest.mark.parametrize("stage", [None, "conv2", "fc2"])
def test_what_is_not_frozen_learns_from_a_solved_head_on(stage):
    data = digits()
    before, model = lenet(stage).eval(), lenet(stage)
    x, y = data.tensors
    given = {"val": False, "epochs": 2, "lr": 1e-4, "batch_size": 8}
    run = zoo.finetune(model, data, head="ridge", **given, **QUIET)
    random = zoo.finetune(lenet(stage), data, head="random", **given, **QUIET)
    first = solve(before.forward_until(x, "head").detach(), y, 3).weight
    assert (first - before.head.weight).abs().max() > 0.05
    assert 0 < (model.head.weight - first).abs().max() < 0.01
    assert run.history[0]["loss"] < random.history[0]["loss"]
    fixed = dict(before.named_parameters())
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, fixed[n])}
    assert moved == {n for n, p in model.named_parameters() if p.requires_grad}


def test_heads_without_a_closed_form_say_so(offer: Offer, capsys):
    message = r"no linear layer with a bias.*Leave head=\"ridge\" out"
    unbiased = lenet("head")
    unbiased.head = nn.Linear(84, 3, bias=False)
    assert not solved(capsys, unbiased, digits())
    with pytest.raises(zoo.RecipeError, match=message):
        zoo.finetune(unbiased, digits(), head="ridge", epochs=1, **QUIET)
    offer(MANIFEST, toy(conv_head=True))
    model = zoo.create("toy", num_classes=4).reset_head(3).freeze_until("head")
    colours = TensorDataset(torch.randn(20, 3, 8, 8), torch.arange(20) % 3)
    assert not solved(capsys, model, colours)
    with pytest.raises(zoo.RecipeError, match=message):
        zoo.finetune(model, colours, head="ridge", epochs=1, **QUIET)


def test_a_frozen_head_cannot_be_solved():
    model = lenet(None)
    model.head.requires_grad_(False)
    with pytest.raises(zoo.RecipeError, match=r"The head does not train"):
        zoo.finetune(model, digits(), head="ridge", epochs=1, **QUIET)


def several() -> TensorDataset:
    x, y = digits().tensors
    return TensorDataset(x, torch.stack([y == 0, y > 0, y == 2], 1).float())


def test_several_labels_have_no_closed_form():
    with pytest.raises(zoo.RecipeError, match=r"several labels.*head=\"random\""):
        zoo.finetune(lenet("head"), several(), head="ridge", epochs=1, **QUIET)


def test_auto_leaves_the_head_for_several_labels():
    assert zoo.finetune(lenet("head"), several(), epochs=1, **QUIET).history
