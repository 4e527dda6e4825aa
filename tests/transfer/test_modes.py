"""A module frozen by zoo.freeze_until: its frozen part stays in eval mode, the rest trains."""

from __future__ import annotations

import copy
from collections import OrderedDict

import timm
import torch
from support.freezing import Packs, assert_freezes_as_the_twin_says, layers, still_training
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

import zoo_core as zoo


class Drops(nn.Module):
    """A block that drops by function, and whose own dropout module only training calls."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.extra = nn.Linear(4, 4), nn.Dropout()

    def forward(self, x: Tensor) -> Tensor:
        x = functional.dropout(self.linear(x), training=self.training)
        return self.extra(x) if self.training else x


def test_functional_dropout_of_a_frozen_block_rests_and_of_a_trained_one_does_not():
    model = nn.Sequential(OrderedDict(a=Drops(), b=nn.Sequential(Drops(), Drops()), c=Drops()))
    zoo.freeze_until(model, "b.1", example=torch.zeros(1, 4))
    assert still_training(model) == {"", "b", "b.1", "b.1.linear", "b.1.extra", "c", "c.linear"} | {
        "c.extra"
    }
    x = torch.rand(8, 4)
    prefix = nn.Sequential(model.a, model.b[0])
    assert torch.equal(prefix(x), prefix(x))
    assert not torch.equal(model.c(x), model.c(x))


def test_a_backbone_that_runs_by_another_method_rests_too():
    class Backbone(Drops):
        def features(self, x: Tensor) -> Tensor:
            return functional.dropout(self.linear(x), training=self.training)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = Backbone(), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.backbone.features(x))

    model = zoo.freeze_until(Net(), "head", example=torch.zeros(1, 4))
    assert still_training(model) == {"", "head"}


def test_a_backbone_that_is_cut_between_its_outputs_trains_behind_the_cut():
    class Backbone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.low, self.high, self.drop = nn.Linear(4, 4), nn.Linear(4, 4), nn.Dropout()

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            low = self.low(x)
            return low, self.drop(self.high(low))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = Backbone(), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            low, high = self.backbone(x)
            return self.head(low) + high

    model = Net()
    assert len(assert_freezes_as_the_twin_says(model, "head", torch.rand(1, 4))) == 2
    assert still_training(model) == {"", "head", "backbone", "backbone.high", "backbone.drop"}


def test_dropout_on_a_path_beside_the_cut_drops():
    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
            self.drop, self.pack = nn.Dropout(), Packs()

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return self.second(x) + self.drop(x) + self.pack(x, x).a

    model = Beside()
    assert_freezes_as_the_twin_says(model, "second", torch.rand(1, 4))
    assert still_training(model) == {"", "second", "drop", "pack"}


def test_modules_without_parameters_follow_the_part_that_they_are_in():
    model = nn.Sequential(
        nn.Dropout(), nn.Linear(3, 3), nn.Dropout(), nn.BatchNorm1d(3, affine=False), nn.ReLU()
    )
    model.extend([nn.Linear(3, 3), nn.Dropout(), nn.BatchNorm1d(3, affine=False), nn.ReLU()])
    zoo.freeze_until(model, "5", example=torch.zeros(1, 3))
    assert still_training(model) == {"", "5", "6", "7", "8"}
    model(torch.rand(4, 3))
    assert int(model[3].num_batches_tracked) == 0
    assert int(model[7].num_batches_tracked) == 1


def test_spectral_norm_of_a_frozen_layer_stands_still():
    model = layers(3, 3, 3, 2)
    parametrizations.spectral_norm(model[0])
    parametrizations.weight_norm(model[1])
    zoo.freeze_until(model, "2", example=torch.zeros(1, 3))
    before = copy.deepcopy(model.state_dict())
    for _ in range(3):
        model.train()(torch.rand(4, 3))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_norm_with_parts_stands_still_when_the_cut_is_inside_it():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), timm.layers.BatchNormAct2d(4), nn.Conv2d(4, 2, 1))
    zoo.freeze_until(model, "1.act", example=torch.zeros(1, 3, 4, 4))
    assert "1.weight" in model.frozen
    model.train()(torch.rand(2, 3, 4, 4))
    assert int(model[1].num_batches_tracked) == 0


def test_a_module_with_a_train_of_its_own_keeps_it():
    class Counts(nn.Sequential):
        calls = 0

        def train(self, mode: bool = True) -> nn.Module:
            self.calls += 1
            return super().train(mode)

    model = Counts(nn.Linear(2, 2), nn.Dropout(), nn.Linear(2, 2))
    zoo.freeze_until(model, "2", example=torch.zeros(1, 2))
    assert model.train().calls == 1
    assert not model[1].training


def test_a_frozen_part_of_a_larger_module_stays_frozen():
    model = zoo.freeze_until(
        nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2)),
        "2",
        example=torch.zeros(1, 2),
    )
    whole = nn.Sequential(model, nn.BatchNorm1d(2)).train()
    assert not model[1].training and whole[1].training
    whole.eval().train()
    assert not model[1].training


def test_a_zoo_model_inside_a_larger_module_is_cut_by_its_path():
    whole = nn.Sequential(zoo.create("lenet5"), nn.Linear(10, 2))
    found = assert_freezes_as_the_twin_says(whole, "0.fc2", torch.rand(1, 1, 32, 32))
    assert "0.fc1.weight" in found and "0.fc2.weight" not in found
