"""Mixup and CutMix: as torchvision mixes them, how often, and what cannot be mixed."""

from __future__ import annotations

import pytest
import torch
from support.batches import MIXING, digits, lenet, same
from torch import nn
from torch.nn import functional
from torchvision.transforms import v2

import zoo_core as zoo


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("name", "theirs"), [("mixup", v2.MixUp), ("cutmix", v2.CutMix)])
def test_pictures_are_mixed_as_torchvision_does(name, theirs, dtype) -> None:
    x, y = digits()
    x = x.to(dtype)
    stack = zoo.regularizers(f"{name}=0.7:prob=1").attach(lenet())
    torch.manual_seed(3)
    ours, targets = stack.batch(x, y)
    torch.manual_seed(3)
    torch.rand(())  # whether
    expected, their_targets = theirs(alpha=0.7, num_classes=10)(x, y)
    assert torch.equal(ours, expected) and not torch.equal(ours, x)
    assert targets.dtype == dtype and torch.allclose(targets, their_targets.to(dtype))
    assert torch.allclose(targets.sum(1), torch.ones(len(y), dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_targets_of_half_pictures_go_with_the_loss(dtype: torch.dtype) -> None:
    x, y = digits()
    stack = zoo.regularizers("mixup:prob=1").attach(lenet())
    mixed, targets = stack.batch(x.to(dtype), y)
    assert mixed.dtype == dtype and targets.dtype == torch.float32
    assert torch.isfinite(functional.cross_entropy(torch.randn(6, 10).to(dtype), targets))


@pytest.mark.parametrize("name", MIXING)
def test_prob_is_how_often_a_step_is_mixed(name: str) -> None:
    torch.manual_seed(0)
    stack = zoo.regularizers(f"{name}:prob=0.25").attach(lenet())
    x, y = digits(2)
    mixed = sum(stack.batch(x, y)[1].ndim == 2 for _ in range(400))
    assert 70 < mixed < 130
    never = zoo.regularizers(f"{name}:prob=0").attach(lenet())
    assert never.batch(x, y) == (x, y)


def test_a_batch_is_mixed_once() -> None:
    x, y = digits()
    stack = zoo.regularizers(["mixup:prob=1", "cutmix:prob=1", "manifold-mixup"]).attach(lenet())
    torch.manual_seed(3)
    both = stack.batch(x, y)
    alone = zoo.regularizers("mixup:prob=1").attach(lenet())
    torch.manual_seed(3)
    assert same(both, alone.batch(x, y))
    torch.manual_seed(0)
    turns = zoo.regularizers(["mixup:prob=0.5", "cutmix:prob=1"]).attach(lenet())
    drawn = set()
    for _ in range(20):
        turns.batch(x, y)
        drawn.add(tuple(member.mixed for member in turns.members))
    assert drawn == {(True, False), (False, True)}


@pytest.mark.parametrize("name", MIXING)
def test_targets_of_several_labels_are_mixed(name: str) -> None:
    x, _ = digits()
    several = (torch.rand(6, 10) < 0.3).float()
    _, targets = zoo.regularizers(f"{name}:prob=1").attach(lenet()).batch(x, several)
    kept = several.sum()
    assert not torch.equal(targets, several) and torch.allclose(targets.sum(), kept)


@pytest.mark.parametrize("name", MIXING)
def test_classes_of_any_module_are_counted(name: str) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(1024, 8), nn.ReLU(), nn.Linear(8, 12))
    x, y = digits()
    stack = zoo.regularizers(f"{name}:prob=1").attach(model)
    assert stack.batch(x, y)[1].shape == (6, 12)
    with pytest.raises(zoo.RecipeError, match=rf"{name}: the model has no classifier"):
        zoo.regularizers(name).attach(nn.Sequential(nn.Flatten(), nn.LayerNorm(4)))
    with pytest.raises(zoo.RecipeError, match=rf"{name}: the model has no classifier"):
        zoo.regularizers(name).attach(zoo.create("lenet5", num_classes=0))


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_only_pictures_are_mixed(name: str) -> None:
    stack = zoo.regularizers(f"{name}:prob=1").attach(nn.Linear(4, 3))
    with pytest.raises(zoo.RecipeError, match=rf"{name} mixes pictures .* \(5, 4\)") as caught:
        stack.batch(torch.rand(5, 4), torch.zeros(5, dtype=torch.long))
    assert "manifold-mixup" in str(caught.value)


@pytest.mark.parametrize("name", MIXING)
def test_targets_must_fit_the_batch(name: str) -> None:
    x, y = digits()
    stack = zoo.regularizers(f"{name}:prob=1").attach(lenet())
    with pytest.raises(zoo.RecipeError, match=rf"{name} mixes targets .* \(5,\) with 6"):
        stack.batch(x, y[:5])


def test_mixed_pictures_cannot_be_cached_and_mixed_activations_can() -> None:
    changes = {
        name: zoo.regularizers(name).members[0].changes_pictures for name in (*MIXING, "r-drop")
    }
    assert changes == {"mixup": True, "cutmix": True, "manifold-mixup": False, "r-drop": False}


@pytest.mark.parametrize("name", [*MIXING, "r-drop"])
def test_nothing_is_done_to_batches_in_eval_mode(name: str) -> None:
    x, y = digits()
    model = lenet().eval()
    before = model(x)
    stack = zoo.regularizers(f"{name}{':prob=1' if name in MIXING else ''}").attach(model)
    assert stack.batch(x, y) == (x, y)
    assert torch.equal(model(x), before)
    loss = torch.zeros(())
    assert stack.loss(loss, before, y) is loss
