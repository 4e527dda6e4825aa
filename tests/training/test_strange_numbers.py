"""NaN and infinity in data are blamed on the data, by the item."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import Subset, TensorDataset

import zoo_core as zoo

QUIET = {"epochs": 1, "out": False, "progress": False}


def tensors(count: int = 40, **strange: float) -> TensorDataset:
    torch.manual_seed(0)
    x = torch.rand(count, 1, 32, 32)
    for item, value in strange.items():
        x[int(item.removeprefix("item"))][0, 5, 5] = value
    return TensorDataset(x, torch.arange(count) % 2)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("given", [{}, {"freeze_until": "head"}, {"val": False}])
def test_the_item_is_named(value, given):
    model = zoo.create("lenet5", pretrained=True).reset_head(2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    words = "Item 7 of TensorDataset holds NaN or infinity"
    with pytest.raises(zoo.DataError, match=words):
        zoo.finetune(model, tensors(item7=value), **{**QUIET, **given})
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_validation_pictures_are_named_too():
    val = tensors(8, item5=torch.nan)
    with pytest.raises(zoo.DataError, match="Item 5 of TensorDataset"):
        zoo.finetune("lenet5", tensors(), val=val, **QUIET)


def test_a_rate_that_is_too_high_is_still_blamed():
    with pytest.raises(zoo.RecipeError, match="smaller lr"):
        zoo.finetune("lenet5", Subset(tensors(), range(40)), lr=1e30, optimizer="sgd", **QUIET)
