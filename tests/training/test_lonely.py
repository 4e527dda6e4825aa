"""No epoch ends with a batch of one picture; a norm over it is refused before training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import TensorDataset

import zoo_core as zoo
from zoo_core.data.loader import Order
from zoo_core.training.lonely import lonely_norms, smallest_part

QUIET = {"val": False, "epochs": 1, "progress": False}


def small(count: int) -> TensorDataset:
    """Pictures that a resnet has 1x1 maps of at its end."""
    torch.manual_seed(0)
    return TensorDataset(torch.randn(count, 3, 32, 32), torch.arange(count) % 2)


@pytest.mark.parametrize(
    ("size", "batch_size", "sizes"),
    [
        (33, 32, [31, 2]),
        (97, 32, [32, 32, 31, 2]),
        (34, 32, [32, 2]),
        (32, 32, [32]),
        (7, 3, [3, 2, 2]),
        (5, 2, [2, 2, 1]),  # no batch may be larger than it was asked for
        (3, 1, [1, 1, 1]),
        (1, 8, [1]),
    ],
)
def test_no_pass_ends_with_one_picture(size, batch_size, sizes):
    order = Order(size, batch_size, seed=0)
    order.epoch = 1
    batches = list(order)
    assert [len(batch) for batch in batches] == order.sizes() == sizes and len(order) == len(sizes)
    assert sorted(index for batch in batches for _, index in batch) == list(range(size))
    order.start = 1  # a resumed pass sees the rest of it
    assert list(order) == batches[1:]
    assert Order(33, 32, seed=None).sizes() == [32, 1]  # in order, for what is only measured


def test_the_last_batch_of_one_trains_and_goes_on_and_caches_alike(tmp_path):
    given = {**QUIET, "batch_size": 32, "augment": False}
    model = zoo.create("resnet18", num_classes=2)
    zoo.finetune(model, small(33), out=False, **given)

    def run(cache: bool, **more) -> list[float]:
        torch.manual_seed(0)
        again = zoo.create("resnet18", num_classes=2).freeze_until("layer4")
        done = zoo.finetune(again, Whole(small(33)), cache=cache, **{**given, **more})
        return [row["loss"] for row in done.history]

    once = run(True, epochs=2, out=False)
    assert once == run(False, epochs=2, out=False)
    run(False, out=tmp_path / "run")
    assert run(False, epochs=2, out=tmp_path / "run", resume=True) == once


class Whole(torch.utils.data.Dataset):
    """The items of a dataset, and nothing more."""

    def __init__(self, data: TensorDataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        x, y = self.data[index]
        return x, int(y)


@pytest.mark.parametrize(
    ("count", "given", "words"),
    [
        (33, {"batch_size": 1}, "batch_size=1 a step on 33 pictures has one"),
        (5, {"batch_size": 2}, "batch_size=2 a step on 5 pictures has one"),
        (11, {"batch_size": 8, "accumulate": 2}, "batch_size=8, accumulate=2 a step on 11"),
        (5, {"batch_size": 2, "schedule": [("head", 1), ("layer4", 1)]}, "layer4.0.bn1 normalises"),
    ],
)
def test_a_step_of_one_picture_is_refused_before_training(tmp_path: Path, count, given, words):
    model = zoo.create("resnet18", num_classes=2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(zoo.RecipeError, match="Choose another batch_size") as error:
        zoo.finetune(model, small(count), out=tmp_path / "run", **{**QUIET, **given})
    assert words in str(error.value) and not (tmp_path / "run").exists()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_one_picture_is_enough_where_no_norm_goes_by_it():
    frozen = zoo.create("resnet18", num_classes=2).freeze_until("head")
    zoo.finetune(frozen, small(4), batch_size=1, out=False, **QUIET)
    y = torch.arange(4) % 2
    zoo.finetune(
        "lenet5", TensorDataset(torch.randn(4, 1, 32, 32), y), batch_size=1, out=False, **QUIET
    )
    model = zoo.create("resnet18", num_classes=2)
    assert lonely_norms(model, torch.zeros(2, 3, 64, 64)) == []
    assert lonely_norms(model, torch.zeros(2, 3, 32, 32))[0] == "layer4.0.bn1"


@pytest.mark.parametrize(
    ("size", "world", "pieces", "smallest"),
    [(33, 1, 1, 2), (33, 2, 1, 1), (64, 2, 1, 16), (64, 1, 32, 1), (34, 1, 2, 1), (36, 1, 2, 2)],
)
def test_the_smallest_part_of_any_process(size, world, pieces, smallest):
    assert smallest_part(Order(size, 32, seed=0, world=world), pieces) == smallest
