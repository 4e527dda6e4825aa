"""What feeds a layer, however data runs through a module that zoo did not create."""

from __future__ import annotations

import pytest
import torch
from support.autograd_twin import feeds
from support.freezing import Packs, assert_freezes_as_the_twin_says, still_training
from torch import Tensor, nn

import zoo_core as zoo


class SkipsAhead(nn.Module):
    """Registered in another order than it runs, with a path beside the main one."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(4, 2)
        self.beside = nn.Linear(4, 4)
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.last(self.second(x) + self.beside(x))


@pytest.mark.parametrize(
    ("layer", "frozen"),
    [
        ("second", {"first"}),
        ("beside", {"first"}),
        ("last", {"first", "second", "beside"}),
    ],
)
def test_order_of_registration_means_nothing(layer, frozen):
    found = assert_freezes_as_the_twin_says(SkipsAhead(), layer, torch.rand(1, 4))
    assert {name.split(".")[0] for name in found} == frozen


class PassesContainers(nn.Module):
    """Tensors travel in keyword arguments, lists, dicts and named tuples."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.unseen = (nn.Linear(3, 3) for _ in range(3))
        self.pack, self.join, self.head = Packs(), Joins(), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        packed = self.pack(self.left(x), self.right(x))
        return {"out": self.head(self.join(1, options={"inputs": [packed]}) + self.unseen(x))}


class Joins(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Linear(3, 3)

    def forward(self, times: int, *, options: dict) -> Tensor:
        return self.scale(options["inputs"][0].a + times * options["inputs"][0].b)


def test_every_tensor_in_nested_arguments_counts():
    model = PassesContainers()
    found = assert_freezes_as_the_twin_says(model, "join", torch.rand(1, 3))
    assert {name.split(".")[0] for name in found} == {"left", "right"}
    assert not model.train().pack.training  # its dropout is within a named tuple
    assert_freezes_as_the_twin_says(model, "head", torch.rand(1, 3))


class TakesMuch(nn.Module):
    """A dict, a list, a plain number and nothing as inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)
        self.noise = nn.Dropout()

    def forward(self, named: dict, listed: list, scale: float, mask: None) -> Tensor:
        return self.head(self.a(self.noise(named["x"])) * scale + self.b(listed[0]))


def test_an_example_may_be_a_tuple_of_anything():
    model, x = TakesMuch().double(), torch.rand(1, 2).double()
    example = ({"x": x}, [x, "text"], 2.0, None)
    found = assert_freezes_as_the_twin_says(model, "head", *example)
    assert {name.split(".")[0] for name in found} == {"a", "b"}
    assert still_training(model) == {"", "head"}
    assert not x.requires_grad and x.grad_fn is None


class WorksInPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(2, 2, 1) for _ in range(3))
        self.act, self.drop = nn.ReLU(inplace=True), nn.Dropout(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.drop(self.act(self.first(x.mul_(2)))))
        x += 1
        return self.third(x)


@pytest.mark.parametrize("layer", ["second", "third", "act"])
def test_work_in_place_does_not_hide_what_feeds(layer):
    model, x = WorksInPlace(), torch.rand(1, 2, 4, 4)
    expected = feeds(model, layer, x.clone())
    kept = x.clone()
    zoo.freeze_until(model, layer, example=x)
    assert set(model.frozen) == expected
    assert torch.equal(x, kept)
    assert model.train().drop.training == (layer == "act")


def test_an_embedding_of_integers_is_frozen():
    model = nn.Sequential(nn.Embedding(5, 4), nn.Dropout(), nn.LayerNorm(4), nn.Linear(4, 2))
    found = assert_freezes_as_the_twin_says(model, "3", torch.tensor([[1, 2]]))
    assert found == {"0.weight", "2.weight", "2.bias"}
    assert still_training(model) == {"", "3"}


class ReadsBytes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, affine=False)
        self.conv, self.head = nn.Conv2d(3, 2, 1), nn.Conv2d(2, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(self.norm(x.float() / 255)))


def test_a_norm_without_weights_on_pictures_of_bytes_stands_still():
    model = ReadsBytes()
    x = torch.randint(256, (2, 3, 4, 4), dtype=torch.uint8)
    assert_freezes_as_the_twin_says(model, "head", x)
    model.train()(x)
    assert int(model.norm.num_batches_tracked) == 0
    assert not bool(model.norm.running_mean.any())


def test_recurrent_layers_and_attention_are_frozen():
    class Sequence(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(4, 4, num_layers=2, dropout=0.5, batch_first=True)
            self.attention = nn.MultiheadAttention(4, 2, dropout=0.5, batch_first=True)
            self.head = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x, _ = self.lstm(x)
            x, _ = self.attention(x, x, x)
            return self.head(x)

    model = Sequence()
    assert_freezes_as_the_twin_says(model, "head", torch.rand(1, 3, 4))
    assert still_training(model) == {"", "head"}
