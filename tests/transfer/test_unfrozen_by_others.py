"""What timm, fastai or a loop of one's own unfreezes after freeze_until trains again, norms too."""

from __future__ import annotations

import pytest
import timm.utils
import torch
from torch import nn

import zoo_core as zoo
from zoo_core.model import ZooModel
from zoo_core.transfer.snapshot import moving


@pytest.fixture
def model() -> ZooModel:
    return zoo.create("timm/test_resnet", num_classes=3).train()


def training(model: nn.Module) -> set[str]:
    return {n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d) and m.training}


def learn(model: nn.Module) -> None:
    """As fastai's `unfreeze` and Lightning's BaseFinetuning do it: flags alone."""
    for parameter in model.parameters():
        parameter.requires_grad_(True)


@pytest.mark.parametrize("unfreeze", [timm.utils.unfreeze, learn])
@pytest.mark.parametrize("train_norm", [False, True])
def test_everything_trains_again(model, unfreeze, train_norm: bool) -> None:
    model.freeze_until("layer4", train_norm=train_norm)
    assert "bn1" not in training(model.train())
    unfreeze(model)
    assert all(module.training for module in model.train().modules())
    before = model.bn1.running_mean.clone()
    model(torch.rand(2, 3, 32, 32))
    assert not torch.equal(before, model.bn1.running_mean)
    assert "bn1.running_mean" in moving(model)  # so a run holds it
    assert not model.frozen and "frozen" not in model.summary()


def test_a_part_that_is_unfrozen_trains_and_the_rest_stays(model) -> None:
    model.freeze_until("layer4")
    always = training(model.train())
    timm.utils.unfreeze(model, ["layer3"])
    assert training(model.train()) == always | {
        name for name in training(model.unfreeze().train()) if name.startswith("layer3.")
    }
    model.freeze_until("layer4")
    timm.utils.unfreeze(model, ["conv1", "bn1"])
    assert training(model.train()) - always == {"conv1.1", "conv1.4", "bn1"}


def test_norms_alone_that_learn_keep_their_statistics(model) -> None:
    """fastai lets the norms of frozen groups learn."""
    model.freeze_until("layer4")
    always = training(model.train())
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.requires_grad_(True)
    assert training(model.train()) == always


def test_freezing_anew_freezes_all_again(model) -> None:
    model.freeze_until("layer4")
    always = training(model.train())
    learn(model)
    model.train()
    assert training(model.freeze_until("layer4").train()) == always
