"""Heads that are solved before the first step of a training."""

from __future__ import annotations

import pytest
import torch
from support.model_fixtures import Offer
from support.toys import MANIFEST, toy
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

import zoo_core as zoo
from zoo_core.data.balance import picture_weights
from zoo_core.model.zoo_model import ZooModel
from zoo_core.training.cache.prefix import Prefix, frozen_stages, rows_for
from zoo_core.training.solving.solve import solve

pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")
QUIET = {"out": False, "progress": False}


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
    solution = solve(prefix(x), y)
    assert torch.equal(model.head.weight, solution.weight.float())
    assert torch.equal(model.head.bias, solution.bias.float())
    assert run.best["epoch"] == 0 and run.history == [run.best]
    assert run.best["loss"] == solution.left_out.loss and run.best["strength"] == solution.strength
    with torch.no_grad():
        scores = model.eval()(digits(11).tensors[0])
    expected = functional.cross_entropy(scores, digits(11).tensors[1]).item()
    assert run.best["val_loss"] == pytest.approx(expected, rel=1e-5)


def solved(capsys: pytest.CaptureFixture[str], model: ZooModel, data: object, **given: object):
    capsys.readouterr()
    zoo.finetune(model, data, epochs=1, out=False, cache=False, **given)
    return "Head solved" in capsys.readouterr().err


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
    first = solve(before.forward_until(x, "head").detach(), y).weight
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


@pytest.mark.parametrize("balance", [None, "weights", "sampler"])
def test_a_head_for_several_labels_is_solved(balance):
    data, model = several(), lenet("head")
    x, y = data.tensors
    given = {"val": False, "epochs": 0, "balance": balance}
    run = zoo.finetune(model, data, head="ridge", **given, **QUIET)
    before = lenet("head").eval().forward_until(x, "head").detach()
    solution = solve(before, y, weights=picture_weights(y) if balance else None)
    torch.testing.assert_close(model.head.weight, solution.weight.float(), rtol=1e-4, atol=1e-6)
    assert run.best["loss"] == pytest.approx(solution.left_out.loss, rel=1e-4)
    assert run.best["loss"] < 0.5  # that of knowing nothing is log 2


def test_auto_solves_for_several_labels(capsys):
    assert solved(capsys, lenet("head"), several())


def of_unequal_size() -> TensorDataset:
    """Three classes of 60, 12 and 8, hard to tell apart."""
    draw = torch.Generator().manual_seed(0)
    y = torch.tensor([0] * 60 + [1] * 12 + [2] * 8)
    x = torch.randn(80, 1, 32, 32, generator=draw) + 0.1 * y[:, None, None, None]
    return TensorDataset(x, y)


@pytest.mark.parametrize("balance", ["weights", "sampler"])
def test_balance_counts_all_classes_alike(balance):
    data, model = of_unequal_size(), lenet("head")
    x, y = data.tensors
    zoo.finetune(model, data, val=False, epochs=0, head="ridge", balance=balance, **QUIET)
    before = lenet("head").eval().forward_until(x, "head").detach()
    weights = zoo.data.class_weights([60, 12, 8])[y]
    expected = solve(before, y, weights=weights)
    torch.testing.assert_close(model.head.weight, expected.weight.float(), rtol=1e-3, atol=1e-5)
    plain = solve(before, y)
    assert (plain.weight - expected.weight).abs().max() > 1e-2
    chosen = [(before @ s.weight.T.float() + s.bias.float()).argmax(1) for s in (plain, expected)]
    assert (chosen[0] == 0).sum() > (chosen[1] == 0).sum()


class Shaken(nn.Module):
    """A network whose features in training have nothing in common with those in evaluation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 30 * torch.randn_like(x) if self.training else x


@pytest.mark.parametrize("cache", [False, True])
def test_training_on_from_a_solved_head_never_starts_worse_than_from_a_random_one(cache, capsys):
    def first_loss(head: str) -> tuple[float, ZooModel]:
        model = lenet("fc2")
        model.fc2 = nn.Sequential(model.fc2, Shaken())
        how = {"val": digits(11), "epochs": 1, "lr": 1e-9, "batch_size": 16, "cache": cache}
        run = zoo.finetune(model, digits(), head=head, out=False, **how)
        return run.history[0]["loss"], model

    random, _ = first_loss("random")
    capsys.readouterr()
    loss, model = first_loss("ridge")
    assert "Training goes on from it with its scores times" in capsys.readouterr().err
    assert loss <= random and loss < 1.3  # log 3 is 1.1
    assert model.head.weight.abs().max() > 0.02  # and what stays is the solved one, the best


def test_softening_leaves_all_else_as_it_was():
    """Batch statistics, generators and modes: the same training follows, with or without it."""
    model = lenet("fc2")
    model.fc2 = nn.Sequential(model.fc2, nn.BatchNorm1d(84), nn.Dropout(0.5))
    given = {"val": False, "epochs": 1, "lr": 1e-9, "batch_size": 20, "head": "ridge"}
    zoo.finetune(model, digits(), **given, **QUIET)
    assert int(model.fc2[1].num_batches_tracked) == 2  # the two steps of its epoch


def test_a_picture_whose_class_is_its_own_is_no_reason_to_fail():
    data = TensorDataset(digits(7).tensors[0], torch.tensor([0, 0, 0, 0, 0, 0, 1]))
    run = zoo.finetune(lenet("head"), data, val=False, epochs=0, head="ridge", **QUIET)
    assert run.best["loss"] < 2


def test_pictures_that_are_all_the_same_give_the_shares_of_the_classes():
    data = TensorDataset(torch.zeros(9, 1, 32, 32), torch.tensor([0] * 6 + [1] * 3))
    model = lenet("head").reset_head(2).freeze_until("head")
    zoo.finetune(model, data, val=False, epochs=0, head="ridge", **QUIET)
    assert model.head.weight.abs().max() == 0 and model.head.bias[0] > model.head.bias[1]
