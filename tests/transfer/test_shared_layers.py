"""Layers and tensors that are used more than once: an error where both sides of the cut use one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from support.freezing import assert_freezes_as_the_twin_says, layers, still_training
from torch import Tensor, nn
from torch.nn import functional

import zoo_core as zoo


class Twice(nn.Module):
    """`shared` runs before and after `middle`."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.shared, self.middle, self.last = (nn.Linear(3, 3) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.shared(self.first(x))
        return self.last(self.shared(self.middle(x)))


def test_a_layer_used_on_both_sides_of_the_cut_is_an_error():
    with pytest.raises(zoo.FreezeError, match=r'shared\.\w+ feeds "middle" and is also used after'):
        zoo.freeze_until(Twice(), "middle", example=torch.zeros(1, 3))


def test_a_layer_whose_later_call_sees_its_own_output_is_an_error():
    with pytest.raises(zoo.FreezeError, match='"shared" is called more than once'):
        zoo.freeze_until(Twice(), "shared", example=torch.zeros(1, 3))


def test_a_layer_used_twice_in_front_of_the_cut_is_frozen():
    assert_freezes_as_the_twin_says(Twice(), "last", torch.rand(1, 3))


class Siamese(nn.Module):
    """`tower` runs on two inputs side by side; `left` comes before its first call alone."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(3, 3), nn.Linear(3, 3)
        self.tower, self.head = nn.Linear(3, 3), nn.Linear(3, 2)
        self.act = nn.Dropout()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        a, b = self.left(a), self.right(b)
        return self.head(self.act(self.tower(a)) + self.act(self.tower(b)))


def test_the_first_call_of_a_layer_counts():
    x = torch.rand(1, 3)
    assert assert_freezes_as_the_twin_says(Siamese(), "tower", x, x) == {"left.weight", "left.bias"}
    with pytest.raises(zoo.FreezeError, match=r"tower\.weight feeds"):
        zoo.freeze_until(Siamese(), "act", example=(x, x))


def test_a_dropout_shared_by_both_parts_rests():
    class Shares(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.drop = nn.Linear(2, 2), nn.Linear(2, 2), nn.Dropout()

        def forward(self, x: Tensor) -> Tensor:
            return self.drop(self.second(self.drop(self.first(x))))

    model = Shares()
    assert_freezes_as_the_twin_says(model, "second", torch.rand(1, 2))
    assert still_training(model) == {"", "second"}


def test_a_tensor_with_a_name_on_either_side_is_an_error():
    model = layers(3, 3, 3, 3)
    model[2].weight = model[0].weight
    with pytest.raises(zoo.FreezeError, match=r'0\.weight feeds "1" and is also used after'):
        zoo.freeze_until(model, "1", example=torch.zeros(1, 3))
    model[1].weight, model[2].weight = model[0].weight, nn.Parameter(torch.eye(3))
    assert set(zoo.freeze_until(model, "2", example=torch.zeros(1, 3)).frozen) == {
        *("0.weight", "0.bias"),
        "1.bias",
    }


def test_two_parameters_in_one_memory_are_tied_as_well():
    model = layers(3, 3, 3)
    model[1].weight = nn.Parameter(model[0].weight.data)
    with pytest.raises(zoo.FreezeError, match=r"0\.weight .*1\.weight"):
        zoo.freeze_until(model, "1", example=torch.zeros(1, 3))


def test_a_second_use_is_seen_in_a_model_that_returns_an_object_of_its_own():
    class Answers(Twice):
        def forward(self, x: Tensor) -> SimpleNamespace:
            return SimpleNamespace(scores=super().forward(x))

    with pytest.raises(zoo.FreezeError, match=r"shared\.\w+ feeds"):
        zoo.freeze_until(Answers(), "middle", example=torch.zeros(1, 3))
    assert len(zoo.freeze_until(Answers(), "last", example=torch.zeros(1, 3)).frozen) == 6


def test_a_second_call_whose_result_nobody_takes_is_no_second_use():
    class Wastes(Twice):
        def forward(self, x: Tensor) -> Tensor:
            x = self.shared(self.first(x))
            self.shared(x)
            return self.last(self.middle(x))

    assert_freezes_as_the_twin_says(Wastes(), "middle", torch.rand(1, 3))


def test_an_embedding_tied_to_the_output_layer_is_an_error():
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.body = nn.Embedding(5, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return functional.linear(self.body(self.embed(x)), self.embed.weight)

    with pytest.raises(zoo.FreezeError, match=r"embed\.weight"):
        zoo.freeze_until(Tied(), "body", example=torch.tensor([1]))
