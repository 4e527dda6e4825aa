"""Manifold mixup: against the mixing of activations by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from support.batches import digits, lenet
from torch import Tensor, nn
from torch.nn import functional

import zoo_core as zoo
from zoo_core.chain import run_stages


def lambda_of(seed: int, alpha: float) -> float:
    torch.manual_seed(seed)
    torch.rand(())  # whether
    return float(torch.distributions.Beta(alpha, alpha).sample())


def by_hand(model: zoo.ZooModel, x: Tensor, stage: str, share: float) -> Tensor:
    activations = model.forward_until(x, stage)
    mixed = share * activations + (1 - share) * activations.roll(1, 0)
    names = list(model.chain)
    return run_stages(model, [model.chain[n] for n in names[names.index(stage) :]], mixed)


@pytest.mark.parametrize("stage", ["conv1", "fc1", "head"])
def test_manifold_mixup_mixes_what_enters_the_first_trained_stage(stage: str) -> None:
    x, y = digits()
    model = lenet(freeze_until=stage if stage != "conv1" else None)
    share = lambda_of(5, 0.8)
    with torch.no_grad():
        expected = by_hand(model, x, stage, share)
    stack = zoo.regularizers("manifold-mixup=0.8").attach(model)
    torch.manual_seed(5)
    same_x, targets = stack.batch(x, y)
    assert same_x is x
    one_hot = functional.one_hot(y, 10).float()
    assert torch.allclose(targets, share * one_hot + (1 - share) * one_hot.roll(1, 0))
    for _ in range(2):  # SAM makes two passes
        assert torch.allclose(model(x), expected, atol=1e-6)
    loss = torch.zeros(())
    assert stack.loss(loss, expected, targets) is loss
    plain = copy.deepcopy(model).eval()(x)
    assert not torch.allclose(plain, expected)
    stack.gradients()
    assert torch.allclose(model(x), lenet()(x), atol=1e-6)  # the step is over
    stack.batch(x, y)
    stack.detach()
    assert torch.allclose(model(x), lenet()(x), atol=1e-6)


def test_manifold_mixup_draws_anew_for_each_part_of_a_step() -> None:
    x, y = digits()
    model = lenet(freeze_until="fc1")
    stack = zoo.regularizers("manifold-mixup").attach(model)
    stack.batch(x, y)
    share = lambda_of(7, 2.0)
    torch.manual_seed(7)
    stack.batch(x, y)
    model.eval()
    expected = lenet().eval()
    assert torch.equal(model(x), expected(x))
    model.train()
    assert torch.allclose(model(x), by_hand(lenet(), x, "fc1", share), atol=1e-6)


def test_manifold_mixup_leaves_other_batches_alone() -> None:
    x, y = digits()
    model = lenet(freeze_until="fc1")
    stack = zoo.regularizers("manifold-mixup").attach(model)
    _, targets = stack.batch(x, y)
    assert torch.allclose(model(x[:4]), lenet()(x[:4]), atol=1e-6)
    with pytest.raises(zoo.RecipeError, match=r"manifold-mixup mixed the targets of 6 inputs"):
        stack.loss(torch.zeros(()), model(x[:4]), targets)


def test_manifold_mixup_mixes_both_views_of_r_drop_alike() -> None:
    x, y = digits()
    model = lenet(freeze_until="fc1")  # no dropout: both views are the same
    share = lambda_of(5, 2.0)
    expected = by_hand(lenet(), x, "fc1", share)
    for order in (["manifold-mixup", "r-drop"], ["r-drop", "manifold-mixup"]):
        stack = zoo.regularizers(order).attach(model)
        torch.manual_seed(5)
        twice, targets = stack.batch(x, y)
        outputs = model(twice)
        assert torch.allclose(outputs, torch.cat([expected, expected]), atol=1e-6)
        assert torch.equal(targets[:6], targets[6:]) and targets.shape == (12, 10)
        assert stack.loss(torch.zeros(()), outputs, targets).abs() < 1e-6
        stack.detach()


def test_manifold_mixup_acts_once_when_attached_twice_and_needs_what_trains() -> None:
    x, y = digits()
    frozen = nn.Sequential(nn.Flatten(), nn.Linear(1024, 8), nn.Linear(8, 12))
    frozen[1].requires_grad_(False)
    hidden = frozen[:2](x)
    share = lambda_of(5, 2.0)
    stack = zoo.regularizers("manifold-mixup").attach(frozen).attach(frozen)
    torch.manual_seed(5)
    stack.batch(x, y)
    mixed = share * hidden + (1 - share) * hidden.roll(1, 0)
    ours = frozen(x)
    stack.detach()
    assert torch.allclose(ours, frozen[2](mixed), atol=1e-6)
    with pytest.raises(zoo.RecipeError, match=r"manifold-mixup has nothing to act on"):
        zoo.regularizers("manifold-mixup").attach(frozen.requires_grad_(False))


def test_manifold_mixup_finds_the_entry_of_a_stage_that_is_a_function() -> None:
    model = zoo.create("resnet18", num_classes=3).train().freeze_until("head")
    stack = zoo.regularizers("manifold-mixup").attach(model)
    assert [len(module._forward_pre_hooks) for module in (model.fc, model.conv1)] == [1, 0]
    stack.detach()
    assert not model.fc._forward_pre_hooks
